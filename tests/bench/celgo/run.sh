#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# run.sh FILE - builds the program beside it, once for its sources, and runs it: cel-go's times for
# bench_cel. It is kept in the cache (see ../../go.sh). Without a Go there is no output, exit code 1.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../go.sh"

out=$(go_folder celgo "$here"/go.mod "$here"/go.sum "$here"/main.go)
if [ ! -x "$out/celgo" ]; then
    go_locked "$out"
    if [ ! -x "$out/celgo" ]; then
        go=$(go_find) || exit 1
        say "building into $out with $("$go" env GOVERSION); once for its sources"
        go_build "$go" "$out/celgo" "$here" . "-s -w" || exit 1
    fi
    exec 9>&-
fi
exec "$out/celgo" "$@"
