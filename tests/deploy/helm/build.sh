#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# build.sh - builds helm for the tests of the chart and prints the path of the program.
#
#   build.sh            builds it if it is missing (some minutes, once), prints its path
#   build.sh --where    prints the path; exit code 1 when it is not there yet
#
# A helm that is in PATH is not taken: its version would decide what the tests find. HELM names one of
# one's own. It goes into ${XDG_CACHE_HOME:-$HOME/.cache}/kroc/helm-<hash of go.mod and go.sum>.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../go.sh"

# As helm's own Makefile: which Kubernetes it knows follows from the client library.
ldflags() {
    minor=$(sed -nE 's/^[[:space:]]*k8s.io\/client-go v0\.([0-9]+).*/\1/p' "$here/go.mod")
    v=helm.sh/helm/v3/pkg
    echo "-s -w -X $v/chartutil.k8sVersionMajor=1 -X $v/chartutil.k8sVersionMinor=$minor -X $v/lint/rules.k8sVersionMajor=1 -X $v/lint/rules.k8sVersionMinor=$minor"
}

main() {
    if [ -n "${HELM:-}" ]; then
        echo "$HELM"
        exit
    fi
    out=$(go_folder helm "$here/go.mod" "$here/go.sum" "$here/build.sh")
    if [ "${1:-}" = --where ]; then
        echo "$out/helm"
        [ -x "$out/helm" ]
        exit
    fi
    [ $# = 0 ] || fail "unknown argument \"$1\"; usage: build.sh [--where]"
    if [ ! -x "$out/helm" ]; then
        go_locked "$out"
        if [ ! -x "$out/helm" ]; then
            go=$(go_find) || exit 1
            say "building helm into $out; this takes some minutes, once"
            go_build "$go" "$out/helm" "$here" helm.sh/helm/v3/cmd/helm "$(ldflags)" || exit 1
        fi
    fi
    echo "$out/helm"
}

main "$@"
