#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# run.sh - builds the differential test against cel-go and runs it: run.sh -driver PATH [OPTION...]
#
# The Go program is built once for its sources, into the cache (see ../go.sh). Exit code 77 (skipped) where
# it is not there and cannot be built: no Go, or no network for its modules.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
. "$here/../go.sh"

skip() {
    echo "skipped: $*"
    exit 77
}

out=$(go_folder celdiff "$here"/go.mod "$here"/go.sum "$here"/*.go)
if [ ! -x "$out/celdiff" ]; then
    go_locked "$out"
    if [ ! -x "$out/celdiff" ]; then
        go=$(go_find) || skip "there is no Go to build cel-go with"
        say "building into $out with $("$go" env GOVERSION); once for its sources"
        go_build "$go" "$out/celdiff" "$here" . "-s -w" || skip "cel-go could not be built"
    fi
    exec 9>&-
fi
exec "$out/celdiff" "$@"
