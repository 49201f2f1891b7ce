#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# image.sh - writes a container image without a container engine.
#
#   image.sh [--kroc build/release/kroc] [--out build/kroc-image.tar] [--name localhost/kroc:dev]
#
# The image holds the binary, the shared libraries that it needs as they are on this machine, the CA
# certificates, the time zones and a user that is not root; nothing else, not even a shell. It is an
# OCI archive that is at the same time what `docker load` reads, so kind, podman, skopeo, containerd
# and docker all take it:
#
#   kind load image-archive build/kroc-image.tar     podman load -i ...     docker load -i ...
#
# The same inputs give the same bytes: names are sorted, owners are numbers, and all times are
# SOURCE_DATE_EPOCH, by default the time of the last commit. Needs GNU tar, gzip, sha256sum and ldd.
set -eu

UID_NONROOT=65532
NAME=localhost/kroc:dev

root=$(cd "$(dirname "$0")/.." && pwd)
kroc=$root/build/release/kroc
out=$root/build/kroc-image.tar
certificates=/etc/ssl/certs/ca-certificates.crt
zones=/usr/share/zoneinfo

fail() {
    echo "image.sh: $*" >&2
    exit 1
}

arguments() {
    while [ $# -gt 0 ]; do
        case $1 in
        --kroc) kroc=${2:?} && shift 2 ;;
        --out) out=${2:?} && shift 2 ;;
        --name) NAME=${2:?} && shift 2 ;;
        -h | --help)
            sed -n '3,18s/^# \{0,1\}//p' "$0"
            exit 0
            ;;
        *) fail "unknown argument \"$1\"; see --help" ;;
        esac
    done
}

check() {
    for tool in tar gzip sha256sum ldd; do
        command -v "$tool" >/dev/null 2>&1 || fail "$tool is not installed"
    done
    tar --version 2>/dev/null | grep -q GNU || fail "GNU tar is needed (the others cannot sort names)"
    [ -x "$kroc" ] || fail "$kroc is not there; build it with: make"
    [ -r "$certificates" ] || fail "$certificates is not there; install ca-certificates"
    [ -d "$zones" ] || fail "$zones is not there; install tzdata"
}

# The last commit's time, so that a commit has one image.
epoch() {
    if [ -n "${SOURCE_DATE_EPOCH:-}" ]; then
        echo "$SOURCE_DATE_EPOCH"
    else
        git -C "$root" log -1 --format=%ct 2>/dev/null || echo 0
    fi
}

revision() {
    git -C "$root" rev-parse --verify HEAD 2>/dev/null || echo unknown
}

# GOARCH's names, which is what image configurations use.
architecture() {
    case $(uname -m) in
    x86_64) echo amd64 ;;
    aarch64) echo arm64 ;;
    *) uname -m ;;
    esac
}

# Prints the files that the dynamic loader opens for the binary, the loader itself among them.
libraries() {
    ldd "$kroc" >"$work/ldd" 2>&1 || {
        grep -q 'not a dynamic executable\|statically linked' "$work/ldd" && return
        fail "ldd does not understand $kroc: $(cat "$work/ldd")"
    }
    if grep -q 'not found' "$work/ldd"; then
        fail "$kroc needs what is not here: $(grep 'not found' "$work/ldd" | tr -s '[:space:]' ' ')"
    fi
    sed -nE 's/.* => (\/[^ ]+) .*/\1/p; s/^[[:space:]]*(\/[^ ]+) .*/\1/p' "$work/ldd" | sort -u
}

base_root() {
    rootfs=$work/base
    mkdir -p "$rootfs/etc/ssl/certs" "$rootfs/usr/share/zoneinfo" "$rootfs/tmp"
    libraries >"$work/libraries"
    while read -r lib; do
        mkdir -p "$rootfs$(dirname "$lib")"
        cp -L "$lib" "$rootfs$lib"
        chmod 755 "$rootfs$lib"
    done <"$work/libraries"
    cp -L "$certificates" "$rootfs/etc/ssl/certs/ca-certificates.crt"
    # Only the zones themselves: no second sets (posix, right), no tables for people.
    (cd "$zones" && find . \( -name posix -o -name right \) -prune -o -type f ! -name '*.tab' ! -name '*.zi' \
        ! -name leapseconds ! -name '+VERSION' ! -name localtime ! -name posixrules -print -o -type l -print |
        LC_ALL=C sort | tar -chf - --no-recursion -T -) |
        tar -xf - -C "$rootfs/usr/share/zoneinfo"
    cat >"$rootfs/etc/passwd" <<-PASSWD
	root:x:0:0:root:/:/sbin/nologin
	nonroot:x:$UID_NONROOT:$UID_NONROOT:nonroot:/:/sbin/nologin
	PASSWD
    cat >"$rootfs/etc/group" <<-GROUP
	root:x:0:
	nonroot:x:$UID_NONROOT:
	GROUP
    echo "hosts: files dns" >"$rootfs/etc/nsswitch.conf"
    permissions "$rootfs"
    chmod 1777 "$rootfs/tmp"
}

program_root() {
    mkdir -p "$work/program"
    cp "$kroc" "$work/program/kroc"
    permissions "$work/program"
}

permissions() {
    find "$1" -type d -exec chmod 755 {} +
    find "$1" -type f ! -perm -100 -exec chmod 644 {} +
    find "$1" -type f -perm -100 -exec chmod 755 {} +
}

# Every tar here is made by this one call.
pack() {
    LC_ALL=C tar --format=ustar --sort=name --mtime="@$date" --owner=0 --group=0 --numeric-owner "$@"
}

# Puts stdin into the archive's blobs and prints its digest.
blob() {
    cat >"$work/blob"
    digest=$(sha256sum "$work/blob" | cut -d' ' -f1)
    mv "$work/blob" "$work/oci/blobs/sha256/$digest"
    echo "$digest"
}

size() {
    wc -c <"$work/oci/blobs/sha256/$1" | tr -d ' '
}

layer() {
    pack -C "$work/$1" -cf "$work/$1.tar" .
    sha256sum "$work/$1.tar" | cut -d' ' -f1 >"$work/$1.diff"
    gzip -n <"$work/$1.tar" | blob >"$work/$1.digest"
}

config_json() {
    cat <<-JSON
	{"architecture":"$(architecture)","os":"linux","created":"$(date -u -d "@$date" +%Y-%m-%dT%H:%M:%SZ)",
	"config":{"User":"$UID_NONROOT:$UID_NONROOT","Entrypoint":["/kroc"],"WorkingDir":"/",
	"Env":["PATH=/","SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"],
	"ExposedPorts":{"8078/tcp":{},"8079/tcp":{}},
	"Labels":{"org.opencontainers.image.title":"kroc","org.opencontainers.image.licenses":"Apache-2.0",
	"org.opencontainers.image.revision":"$(revision)"}},
	"rootfs":{"type":"layers","diff_ids":["sha256:$(cat "$work/base.diff")","sha256:$(cat "$work/program.diff")"]},
	"history":[{"created_by":"deploy/image.sh: libraries, certificates, time zones"},{"created_by":"deploy/image.sh: kroc"}]}
	JSON
}

descriptor() {
    echo "{\"mediaType\":\"$1\",\"digest\":\"sha256:$2\",\"size\":$(size "$2")$3}"
}

manifest_json() {
    media=application/vnd.oci.image
    cat <<-JSON
	{"schemaVersion":2,"mediaType":"$media.manifest.v1+json",
	"config":$(descriptor "$media.config.v1+json" "$config" ""),
	"layers":[$(descriptor "$media.layer.v1.tar+gzip" "$base" ""),
	$(descriptor "$media.layer.v1.tar+gzip" "$program" "")]}
	JSON
}

# index.json for OCI readers (the first annotation is containerd's, the second everybody's),
# manifest.json for docker load.
write_archive() {
    oci=$work/oci
    base=$(cat "$work/base.digest")
    program=$(cat "$work/program.digest")
    config=$(config_json | blob)
    manifest=$(manifest_json | blob)
    names=",\"annotations\":{\"io.containerd.image.name\":\"$NAME\",\"org.opencontainers.image.ref.name\":\"${NAME##*:}\"}"
    echo '{"imageLayoutVersion":"1.0.0"}' >"$oci/oci-layout"
    echo "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.index.v1+json\",\"manifests\":[$(
        descriptor application/vnd.oci.image.manifest.v1+json "$manifest" "$names")]}" >"$oci/index.json"
    b=blobs/sha256
    echo "[{\"Config\":\"$b/$config\",\"RepoTags\":[\"$NAME\"],\"Layers\":[\"$b/$base\",\"$b/$program\"]}]" \
        >"$oci/manifest.json"
    permissions "$oci"
    mkdir -p "$(dirname "$out")"
    pack -C "$oci" -cf "$work/image.tar" blobs index.json manifest.json oci-layout
    mv "$work/image.tar" "$out"
}

main() {
    arguments "$@"
    check
    umask 022
    date=$(epoch)
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    trap 'exit 1' INT TERM
    mkdir -p "$work/oci/blobs/sha256"
    base_root
    program_root
    layer base
    layer program
    write_archive
    echo "$out: $NAME, $(du -k "$out" | cut -f1) KiB, sha256 $(sha256sum "$out" | cut -d' ' -f1)"
}

main "$@"
