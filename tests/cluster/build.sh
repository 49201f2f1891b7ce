#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# build.sh - builds a Kubernetes control plane for the tests and prints the folder it is in.
#
#   build.sh            builds what is missing (about 7 minutes on two cores, once), prints the folder
#   build.sh --where    prints the folder; exit code 1 when it is not complete yet
#
# The programs are kube-apiserver, kube-controller-manager, kubectl and etcd in the versions that
# go.mod pins. They go into a cache outside the tree,
#
#   ${XDG_CACHE_HOME:-$HOME/.cache}/kroc/cluster-<hash of go.mod and go.sum>
#
# or into KROC_CLUSTER_BIN, where programs of one's own are taken as they are. ../go.sh says how Go is
# found. Only the last line of the output is the folder; progress goes to stderr.
set -eu

PROGRAMS="etcd kube-apiserver kube-controller-manager kubectl"
KUBERNETES=$(sed -nE 's/^[[:space:]]*k8s.io\/kubernetes (v[0-9.]+).*/\1/p' "$(dirname "$0")/go.mod")

here=$(cd "$(dirname "$0")" && pwd)
. "$here/../go.sh"

folder() {
    if [ -n "${KROC_CLUSTER_BIN:-}" ]; then
        echo "$KROC_CLUSTER_BIN"
    else
        go_folder cluster "$here/go.mod" "$here/go.sum"
    fi
}

complete() {
    for p in $PROGRAMS; do
        [ -x "$1/$p" ] || return 1
    done
}

package() {
    case $1 in
    etcd) echo go.etcd.io/etcd/server/v3 ;;
    *) echo "k8s.io/kubernetes/cmd/$1" ;;
    esac
}

ldflags() {
    v=k8s.io/component-base/version
    major=${KUBERNETES#v}
    minor=${major#*.}
    echo "-s -w -X $v.gitVersion=$KUBERNETES -X $v.gitMajor=${major%%.*} -X $v.gitMinor=${minor%%.*}"
}

build() {
    out=$1
    go=$(go_find) || exit 1
    say "building into $out with $("$go" env GOVERSION); this takes some minutes, once"
    for p in $PROGRAMS; do
        [ -x "$out/$p" ] && continue
        say "  $p"
        go_build "$go" "$out/$p" "$here" "$(package "$p")" "$(ldflags)" || exit 1
    done
}

main() {
    out=$(folder)
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
