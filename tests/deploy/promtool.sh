#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# promtool.sh - finds promtool for the test of the alert rules and prints the path of the program.
#
#   promtool.sh            takes it out of Debian's package `prometheus` if it is missing, prints its path
#   promtool.sh --where    prints the path; exit code 1 when it is not there yet
#
# The package would start a server of its own, so it is unpacked into the cache and not installed. PROMTOOL
# names one of one's own.
set -eu

cache=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/kroc/promtool

fetch() {
    work=$(mktemp -d)
    chmod 755 "$work" # apt downloads as a user of its own
    trap 'rm -rf "$work"' EXIT
    (cd "$work" && { apt-get -qq download prometheus || { apt-get -qq update && apt-get -qq download prometheus; }; } \
        && dpkg-deb -x prometheus_*.deb .) >&2
    mkdir -p "$cache"
    mv "$work/usr/bin/promtool" "$cache/promtool"
}

path=${PROMTOOL:-$(command -v promtool || echo "$cache/promtool")}
if [ "${1:-}" = --where ]; then
    echo "$path"
    [ -x "$path" ]
    exit
fi
[ $# = 0 ] || { echo "promtool.sh: unknown argument \"$1\"; usage: promtool.sh [--where]" >&2; exit 1; }
[ -x "$path" ] || fetch
echo "$path"
