#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# counts.sh - instructions of each expression's evaluation and compilation, by callgrind.
#
#   counts.sh check BENCH    compares with counts.txt: a step that takes over 3 % (and 50
#                            instructions) more is a failure; less is only told
#   counts.sh write BENCH    writes counts.txt anew, after a change that is meant
#
# BENCH is bench_cel of the release build. Exit code 77 (skipped) where valgrind is missing or where
# the numbers cannot be compared: they belong to one compiler and one processor architecture, which
# stand in the first line of counts.txt.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
counts=$here/counts.txt
mode=${1:-check}
bench=${2:-build/release/tests/bench/bench_cel}

skip() {
    echo "skipped: $*"
    exit 77
}

command -v valgrind >/dev/null 2>&1 || skip "valgrind is not installed (deploy/packages.sh --dev)"
[ -x "$bench" ] || { echo "counts.sh: $bench is not there: make bench builds it" >&2; exit 1; }

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# A dump after each step, in order; the names are what the program prints meanwhile.
measure() {
    # GLIBC_TUNABLES: the C library's choice of memcpy and the like, on every machine the same.
    GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX2,-AVX,-ERMS,-FSRM \
        valgrind --tool=callgrind --callgrind-out-file="$tmp/out" --collect-atstart=no \
        --toggle-collect=counted_step --dump-after=counted_step \
        "$bench" --once >"$tmp/names" 2>"$tmp/log" || { cat "$tmp/log" >&2; exit 1; }
    grep -q '^skipped' "$tmp/names" && skip "$(cat "$tmp/names")"
    n=0
    while read -r name; do
        n=$((n + 1))
        echo "$name $(sed -nE 's/^(totals|summary): ([0-9]+).*/\2/p' "$tmp/out.$n" | head -n1)"
    done <"$tmp/names"
}

platform() {
    echo "# $(uname -m), $("$bench" --compiler)"
}

compare() {
    awk '
        NR == FNR { if ($1 != "#") was[$1] = $2; next }
        !($1 in was) { printf "%-32s %10d   new: write counts.txt anew\n", $1, $2; bad++; next }
        {
            n++
            more = $2 - was[$1]
            if (more > 0.03 * was[$1] && more > 50) { printf "%-32s %10d   was %d, %+.1f %%\n", $1, $2, was[$1], 100 * more / was[$1]; bad++ }
            else if (-more > 0.03 * was[$1] && -more > 50) { printf "%-32s %10d   was %d, %+.1f %% (better: write counts.txt anew)\n", $1, $2, was[$1], 100 * more / was[$1] }
        }
        END { printf "%d steps compared, %d worse\n", n, bad; exit bad > 0 }
    ' "$counts" "$1"
}

case $mode in
write)
    measure >"$tmp/new"
    { platform; cat "$tmp/new"; } >"$counts"
    echo "wrote $counts ($(wc -l <"$tmp/new") steps)"
    ;;
check)
    [ "$(head -n1 "$counts")" = "$(platform)" ] || skip "counts.txt is of $(head -n1 "$counts" | cut -c3-), this is $(platform | cut -c3-)"
    measure >"$tmp/new"
    compare "$tmp/new"
    ;;
print)
    measure
    ;;
*)
    echo "usage: counts.sh check|write|print [BENCH]" >&2
    exit 2
    ;;
esac
