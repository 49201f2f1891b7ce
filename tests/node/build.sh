#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# build.sh - builds what a node needs besides tests/cluster and Debian's packages, and prints its folder.
#
#   build.sh            builds what is missing (about ten minutes on two cores, once), prints the folder
#   build.sh --where    prints the folder; exit code 1 when it is not complete yet
#
# The programs are kubelet, in the version that go.mod pins, and kube-scheduler, of the same version as the
# control plane: it is built from that one's module, tests/cluster. They go into
#
#   ${XDG_CACHE_HOME:-$HOME/.cache}/kroc/node-<hash of the go.mod and go.sum of both>
set -eu

PROGRAMS="kube-scheduler kubelet"

here=$(cd "$(dirname "$0")" && pwd)
. "$here/../go.sh"

module() {
    case $1 in
    kubelet) echo "$here" ;;
    *) echo "$here/../cluster" ;;
    esac
}

# The version that the program tells the API server, from its module's go.mod.
ldflags() {
    kubernetes=$(sed -nE 's/^.*k8s.io\/kubernetes (v[0-9.]+).*/\1/p' "$1/go.mod")
    v=k8s.io/component-base/version
    minor=${kubernetes#v*.}
    echo "-s -w -X $v.gitVersion=$kubernetes -X $v.gitMajor=1 -X $v.gitMinor=${minor%%.*}"
}

complete() {
    for p in $PROGRAMS; do
        [ -x "$1/$p" ] || return 1
    done
}

build() {
    go=$(go_find) || exit 1
    say "building into $1 with $("$go" env GOVERSION); this takes some minutes, once"
    for p in $PROGRAMS; do
        [ -x "$1/$p" ] && continue
        say "  $p"
        dir=$(module "$p")
        go_build "$go" "$1/$p" "$dir" "k8s.io/kubernetes/cmd/$p" "$(ldflags "$dir")" || exit 1
    done
}

main() {
    out=$(go_folder node "$here/go.mod" "$here/go.sum" "$here/../cluster/go.mod" "$here/../cluster/go.sum")
    if [ "${1:-}" = --where ]; then
        echo "$out"
        complete "$out"
        exit
    fi
    [ $# = 0 ] || fail "unknown argument \"$1\"; usage: build.sh [--where]"
    if ! complete "$out"; then
        go_locked "$out"
        complete "$out" || build "$out"
    fi
    echo "$out"
}

main "$@"
