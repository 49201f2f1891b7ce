#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# memcheck.sh FOLDER - runs the unit tests of a build without sanitizers under valgrind; an invalid read
# or write, a jump on an uninitialised value or a leak fails it. The long property and fault tests run
# under the sanitizers alone.
set -u

here=$(cd "$(dirname "$0")" && pwd)
folder=$(cd "$1" && pwd) || exit 1
passed=0
failed=0

for t in "$folder"/tests/base/*_test "$folder"/tests/cel/*_test "$folder"/tests/graph/*_test \
    "$folder"/tests/kube/*_test "$folder"/tests/sandbox/*_test "$folder"/tests/reactor/*_test; do
    case $t in
    *property_test | *incremental_test | *fault_test | *hostile_test | *curl_h2_test) continue ;;
    esac
    if (cd "$folder" && valgrind -q --suppressions="$here/valgrind.supp" --error-exitcode=99 --leak-check=full \
        --errors-for-leak-kinds=definite,indirect "$t" >"$t.memcheck" 2>&1); then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: ${t##*/}: see $t.memcheck"
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
