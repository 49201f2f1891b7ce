#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# packages.sh - installs what kroc needs to be built and tested (Debian, Ubuntu).
#
#   packages.sh           compiler, libraries and what the tests use
#   packages.sh --dev     also clang and its tools, valgrind
#   packages.sh --node    also what tests/node runs containers with; where systemd runs, it starts containerd
#   packages.sh --check   installs nothing: prints what is missing, exit code 1 if anything is
#   packages.sh --list    prints the table below, with the names for Fedora and Alpine
#
# When everything is there it does nothing: no root, no network, no question. Otherwise it calls
# apt-get, with sudo when it is not root.
set -eu

# One row per need: group, Debian and Ubuntu, Fedora, Alpine. A "-" stands for "part of the base system".
table() {
    cat <<'ROWS'
build  build-essential    gcc gcc-c++ make       build-base
build  cmake              cmake                  cmake
build  ninja-build        ninja-build            samurai
build  pkg-config         pkgconf-pkg-config     pkgconf
build  libuv1-dev         libuv-devel            libuv-dev
build  libcurl4-openssl-dev libcurl-devel        curl-dev
build  libnghttp2-dev     libnghttp2-devel       nghttp2-dev
build  libyajl-dev        yajl-devel             yajl-dev
build  libyaml-dev        libyaml-devel          yaml-dev
build  libssl-dev         openssl-devel          openssl-dev
build  libre2-dev         re2-devel              re2-dev
build  libmicrohttpd-dev  libmicrohttpd-devel    libmicrohttpd-dev
build  libxxhash-dev      xxhash-devel           xxhash-dev
test   libcmocka-dev      libcmocka-devel        cmocka-dev
test   python3            python3                python3
test   python3-venv       -                      -
test   openssl            openssl                openssl
test   git                git                    git
test   ca-certificates    ca-certificates        ca-certificates
test   tzdata             tzdata                 tzdata
dev    clang              clang                  clang
dev    clang-format       clang-tools-extra      clang-extra-tools
dev    clang-tidy         clang-tools-extra      clang-extra-tools
dev    libclang-rt-dev    compiler-rt            compiler-rt
dev    valgrind           valgrind               valgrind
build  python3-yaml       python3-pyyaml         py3-yaml
node   containerd         containerd             containerd
node   runc               runc                   runc
node   containernetworking-plugins containernetworking-plugins  cni-plugins
node   iproute2           iproute                iproute2
ROWS
}

# Columns are split at two or more blanks, so that one need may be several packages; a long Debian
# name may leave just one blank, hence the fix-up of the first two columns.
rows() {
    table | sed -E 's/^([^ ]+) +([^ ]+) +/\1|\2|/; s/ {2,}/|/g'
}

# clang's runtime carries its version in its name on Debian 12 and Ubuntu 22.04.
runtime_package() {
    for v in "$(clang_major)" 14; do
        [ -n "$v" ] || continue
        echo "libclang-rt-$v-dev"
        return
    done
}

# The major version that the package `clang` brings here, installed or not; empty when unknown.
clang_major() {
    if command -v clang >/dev/null 2>&1; then
        clang --version | sed -nE 's/.*version ([0-9]+).*/\1/p' | head -n1
    elif command -v apt-cache >/dev/null 2>&1; then
        apt-cache show clang 2>/dev/null | sed -nE 's/^Version: ([0-9]+:)?([0-9]+).*/\2/p' | head -n1
    fi
}

installed() {
    dpkg-query -W -f='${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed
}

# Is the need met already? A program that is there by another way (a newer cmake in /usr/local) counts.
met() {
    case $1 in
    build-essential)
        installed "$1" || { command -v cc && command -v c++ && command -v make; } >/dev/null 2>&1 ;;
    ninja-build) installed "$1" || command -v ninja >/dev/null 2>&1 ;;
    pkg-config) command -v pkg-config >/dev/null 2>&1 ;;
    python3-venv) python3 -c 'import ensurepip' 2>/dev/null ;; # tests/cluster/build.sh may need it
    iproute2) command -v ip >/dev/null 2>&1 ;;
    cmake | containerd | runc | python3 | openssl | git | clang | clang-format | clang-tidy | valgrind)
        command -v "$1" >/dev/null 2>&1 ;;
    *) installed "$1" ;;
    esac
}

missing() {
    rows | while IFS='|' read -r group debian _; do
        [ "$group" = dev ] && [ "$with_dev" = no ] && continue
        [ "$group" = node ] && [ "$with_node" = no ] && continue
        [ "$debian" = libclang-rt-dev ] && debian=$(runtime_package)
        met "$debian" || echo "$debian"
    done
}

install() {
    root=
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null 2>&1 || {
            echo "packages.sh: these packages are missing and root is needed to install them:" >&2
            echo "  apt-get install $*" >&2
            exit 1
        }
        root=sudo
    fi
    wait_for_lock="-o DPkg::Lock::Timeout=600"
    # shellcheck disable=SC2086
    $root env DEBIAN_FRONTEND=noninteractive apt-get $wait_for_lock -q install -y --no-install-recommends "$@" || {
        # The package lists may be absent or old: fetch them, once.
        $root apt-get $wait_for_lock -q update
        $root env DEBIAN_FRONTEND=noninteractive apt-get $wait_for_lock -q install -y --no-install-recommends "$@"
    }
}

main() {
    with_dev=no
    with_node=no
    mode=install
    for arg in "$@"; do
        case $arg in
        --dev) with_dev=yes ;;
        --node) with_node=yes ;;
        --check) mode=check ;;
        --list) mode=list ;;
        -h | --help)
            sed -n '3,14s/^# \{0,1\}//p' "$0"
            exit 0
            ;;
        *)
            echo "packages.sh: unknown argument \"$arg\"; see --help" >&2
            exit 2
            ;;
        esac
    done
    if [ "$mode" = list ]; then
        printf '%-6s %-22s %-22s %s\n' for Debian/Ubuntu Fedora Alpine
        rows | while IFS='|' read -r group debian fedora alpine; do
            printf '%-6s %-22s %-22s %s\n' "$group" "$debian" "$fedora" "$alpine"
        done
        exit 0
    fi
    if ! command -v dpkg-query >/dev/null 2>&1; then
        echo "packages.sh: this is not Debian or Ubuntu; the names for Fedora and Alpine are:" >&2
        "$0" --list >&2
        exit 1
    fi
    want=$(missing)
    [ -n "$want" ] || exit 0
    if [ "$mode" = check ]; then
        echo "$want"
        exit 1
    fi
    # shellcheck disable=SC2086
    install $want
    left=$(missing)
    if [ -n "$left" ]; then
        echo "packages.sh: still missing after the installation:" $left >&2
        exit 1
    fi
}

main "$@"
