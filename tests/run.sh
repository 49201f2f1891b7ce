#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# run.sh - `make test`: everything, from a machine without the packages to one closing line.
#
#   packages -> control plane, helm, promtool, node -> dev build (sanitizers, warnings are errors) and its tests
#            -> release build and the end-to-end tests on the control plane
#
#   JOBS=2       how many at once
#   TESTS=regex  only tests whose names match
#   NODE=1       also what tests/node needs: containerd and its like from packages, a kubelet that is built
#                once. In CI always; a workstation may not want it, and then deploy/node says it is skipped
#
# Each stage is tried even if an earlier one failed, as far as that makes sense; a stage that fails counts
# as one failed test. The last line is "N passed, N failed, N skipped"; the exit code is 1 if any failed.
set -u

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root" || exit 1
jobs=${JOBS:-2}
results=$root/build/results
rm -rf "$results"
mkdir -p "$results"

# stage NAME COMMAND...: runs it, remembers a failure.
stage() {
    name=$1
    shift
    echo "== $name"
    "$@" && return 0
    echo "run.sh: FAILED: $name" >&2
    echo "$name" >>"$results/failed-stages"
    return 1
}

control_plane() {
    bin=$(tests/cluster/build.sh) && KROC_CLUSTER_BIN=$bin && export KROC_CLUSTER_BIN
}

# Without helm deploy/chart and docs/commands are skipped, and say so; without promtool the alert rules are.
tools() {
    tests/deploy/helm/build.sh >/dev/null || echo "run.sh: helm could not be built"
    tests/deploy/promtool.sh >/dev/null || echo "run.sh: promtool could not be had"
}

node() {
    deploy/packages.sh --node && tests/node/build.sh >/dev/null
}

# build PRESET [TARGET...]
build() {
    preset=$1
    shift
    cmake --preset "$preset" -DKROC_CLUSTER_BIN="${KROC_CLUSTER_BIN:-}" >"$results/configure-$preset.log" 2>&1 || {
        cat "$results/configure-$preset.log"
        return 1
    }
    cmake --build --preset "$preset" -j "$jobs" ${1:+--target "$@"}
}

# run_tests PRESET CTEST-ARGS...: what failed stands in the results; without results the stage failed.
run_tests() {
    preset=$1
    shift
    ctest --preset "$preset" -j "$jobs" --no-tests=ignore --output-junit "$results/$preset.xml" \
        ${TESTS:+-R "$TESTS"} "$@"
    [ -s "$results/$preset.xml" ]
}

stage "packages" deploy/packages.sh
stage "control plane" control_plane
stage "helm, promtool" tools
[ -z "${CI:-}${NODE:-}" ] || stage "node" node
stage "dev build" build dev && stage "tests" run_tests dev -LE e2e
stage "release build" build release kroc sandboxdiff_driver sim && stage "end-to-end tests" run_tests release -L e2e
exec python3 tests/summary.py "$results"
