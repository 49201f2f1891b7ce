#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# image.sh - writes a container image without a container engine, and hands it to one if asked to.
#
#   image.sh [--kroc build/release/kroc] [--out build/kroc-image.tar] [--name localhost/kroc:dev]
#            [--sysroot DIR] [--version VERSION] [--sbom FILE] [--engine docker|podman|buildah|auto]
#
# The image holds the binary, the shared libraries that it needs as they are on this machine, the CA
# certificates, the time zones, a list of all that (SPDX, /usr/share/kroc/sbom.spdx.json) and a user that
# is not root; nothing else, not even a shell. It is an OCI archive that is at the same time what
# `docker load` reads, so kind, podman, skopeo, containerd and docker all take it:
#
#   kind load image-archive build/kroc-image.tar     podman load -i ...     docker load -i ...
#
# With --engine that engine has the image afterwards, under its name; auto: the first of the three that is installed, none
# where none is. The archive is written all the same: an image is the same bytes, whoever keeps it.
#
# For another architecture give the cross-built binary, the root that its libraries are in as --sysroot,
# and --version, because it cannot be asked here (docs/deploy.md).
#
# The same inputs give the same bytes: names are sorted, owners are numbers, and all times are
# SOURCE_DATE_EPOCH, by default the time of the commit that the binary was built from. Needs GNU tar, gzip,
# sha256sum, and ldd or, with --sysroot, readelf. Names and versions of Debian packages come from dpkg-query
# where it is.
set -eu

UID_NONROOT=65532
NAME=localhost/kroc:dev

root=$(cd "$(dirname "$0")/.." && pwd)
kroc=$root/build/release/kroc
out=$root/build/kroc-image.tar
certificates=/etc/ssl/certs/ca-certificates.crt
zones=/usr/share/zoneinfo
sysroot=
version=
sbom=
engine=

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
        --sysroot) sysroot=${2:?} && sysroot=${sysroot%/}/ && shift 2 ;;
        --version) version=${2:?} && shift 2 ;;
        --sbom) sbom=${2:?} && shift 2 ;;
        --engine) engine=${2:?} && shift 2 ;;
        -h | --help)
            sed -n '3,25s/^# \{0,1\}//p' "$0"
            exit 0
            ;;
        *) fail "unknown argument \"$1\"; see --help" ;;
        esac
    done
}

choose_engine() {
    case $engine in
    "") return ;;
    auto)
        engine=
        for each in docker podman buildah; do
            [ -n "$engine" ] || ! command -v $each >/dev/null 2>&1 || engine=$each
        done
        ;;
    docker | podman | buildah)
        command -v "$engine" >/dev/null 2>&1 || fail "$engine is not installed; without --engine the archive alone is written"
        ;;
    *) fail "--engine is docker, podman, buildah or auto, not \"$engine\"" ;;
    esac
}

hand_over() {
    case $engine in
    "") return ;;
    buildah) buildah pull --quiet "docker-archive:$out" ;;
    *) "$engine" load --input "$out" ;;
    esac >"$work/said" 2>&1 || fail "$engine does not take $out: $(tail -n 3 "$work/said")"
    echo "$engine has $NAME"
}

check() {
    choose_engine
    for tool in tar gzip sha256sum od $([ -n "$sysroot" ] && echo readelf || echo ldd); do
        command -v "$tool" >/dev/null 2>&1 || fail "$tool is not installed"
    done
    tar --version 2>/dev/null | grep -q GNU || fail "GNU tar is needed (the others cannot sort names)"
    [ -x "$kroc" ] || fail "$kroc is not there; build it with: make"
    [ -r "$certificates" ] || fail "$certificates is not there; install ca-certificates"
    [ -d "$zones" ] || fail "$zones is not there; install tzdata"
}

# What was stamped into the binary at its build: version, commit or date. A foreign one cannot be asked.
stamp() {
    [ -z "$sysroot" ] || return 0
    "$kroc" version -o json | sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"
}

# The time of the commit that the binary was built from, so that a commit has one image.
epoch() {
    stamped=$(stamp date)
    if [ -n "${SOURCE_DATE_EPOCH:-}" ]; then
        echo "$SOURCE_DATE_EPOCH"
    elif [ -n "$stamped" ] && [ "$stamped" != unknown ]; then
        date -u -d "$stamped" +%s
    else
        git -C "$root" log -1 --format=%ct 2>/dev/null || echo 0
    fi
}

revision() {
    stamped=$(stamp commit)
    if [ -n "$stamped" ]; then
        echo "$stamped"
    else
        git -C "$root" rev-parse --verify HEAD 2>/dev/null || echo unknown
    fi
}

# Of the binary, by its ELF header; GOARCH's names, which is what image configurations use.
architecture() {
    machine=$(od -An -tx1 -j18 -N2 "$kroc" | tr -d ' ')
    case $machine in
    3e00) echo amd64 ;;
    b700) echo arm64 ;;
    f300) echo riscv64 ;;
    *) fail "$kroc is for a machine that is not known here (ELF machine $machine)" ;;
    esac
}

version_of() {
    if [ -n "$version" ]; then
        echo "$version"
    elif [ -z "$sysroot" ]; then
        stamp version
    else
        fail "with --sysroot the version is to be given: --version"
    fi
}

# The loader and the libraries of $1 below the sysroot, by name: what a loader would find there.
needed() {
    readelf -lWd "$1" 2>/dev/null | sed -nE 's/.*program interpreter: ([^]]+)\]/\1/p; s/.*\(NEEDED\).*\[([^]]+)\]/\1/p'
}

# Where a library of that name is below the sysroot, as a path inside of the image.
find_below() {
    case $1 in
    /*) [ -e "$sysroot$1" ] && echo "$1" && return ;;
    esac
    for dir in $(cd "$sysroot" && ls -d lib/*-linux-gnu usr/lib/*-linux-gnu lib64 usr/lib64 lib usr/lib 2>/dev/null); do
        [ -e "$sysroot$dir/$1" ] && echo "/$dir/$1" && return
    done
    fail "$1 is not below $sysroot"
}

libraries_below() {
    : >"$work/seen"
    needed "$kroc" >"$work/todo"
    while [ -s "$work/todo" ]; do
        name=$(sed -n 1p "$work/todo")
        sed -i 1d "$work/todo"
        grep -qxF "${name##*/}" "$work/seen" && continue # the loader comes twice: with its path, and as a library
        echo "${name##*/}" >>"$work/seen"
        path=$(find_below "$name") || exit 1
        echo "$path"
        needed "$sysroot$path" >>"$work/todo"
    done | sort -u
}

# Prints the files that the dynamic loader opens for the binary, the loader itself among them.
libraries() {
    if [ -n "$sysroot" ]; then
        libraries_below
        return
    fi
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
        cp -L "$sysroot$lib" "$rootfs$lib"
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

# The binary without what only a debugger wants, which is half of it.
program_root() {
    mkdir -p "$work/program/usr/share/kroc"
    cp "$kroc" "$work/program/kroc"
    if [ -z "$sysroot" ] && command -v strip >/dev/null 2>&1; then
        # The build's id is a hash also of what is taken away, in which there are names of folders.
        strip --strip-all --remove-section=.note.gnu.build-id "$work/program/kroc"
    fi
    sbom_json >"$work/program/usr/share/kroc/sbom.spdx.json"
    permissions "$work/program"
    [ -z "$sbom" ] || cp "$work/program/usr/share/kroc/sbom.spdx.json" "$sbom"
}

created() {
    date -u -d "@$date" +%Y-%m-%dT%H:%M:%SZ
}

# package_of FILE: "name version" of the Debian package that the file is of, else its own name.
package_of() {
    if [ -z "$sysroot" ] && command -v dpkg-query >/dev/null 2>&1; then
        for path in "$1" "/usr$1" "${1#/usr}" "$(readlink -f "$1")"; do
            name=$(dpkg-query -S "$path" 2>/dev/null | sed -n '1s/:.*//p') || true
            [ -n "$name" ] && dpkg-query -W -f='${Package} ${Version}\n' "$name" 2>/dev/null | sed -n 1p && return
        done
    fi
    echo "$(basename "$1") NOASSERTION"
}

sbom_package() { # NAME VERSION PURL-TYPE LICENCE
    purl=
    [ "$2" = NOASSERTION ] || [ -z "$3" ] ||
        purl=",\"externalRefs\":[{\"referenceCategory\":\"PACKAGE-MANAGER\",\"referenceType\":\"purl\",\"referenceLocator\":\"pkg:$3/$1@$(echo "$2" | sed 's/+/%2B/g; s/:/%3A/g; s/~/%7E/g')\"}]"
    echo "{\"SPDXID\":\"SPDXRef-Package-$(id_of "$1")\",\"name\":\"$1\",\"versionInfo\":\"$2\",\"downloadLocation\":\"NOASSERTION\",\"filesAnalyzed\":false,\"licenseConcluded\":\"$4\",\"licenseDeclared\":\"$4\",\"copyrightText\":\"NOASSERTION\"$purl}"
}

sbom_file() { # ROOT PATH
    echo "{\"SPDXID\":\"SPDXRef-File-$(id_of "$2")\",\"fileName\":\".$2\",\"checksums\":[{\"algorithm\":\"SHA256\",\"checksumValue\":\"$(sha256sum "$1$2" | cut -d' ' -f1)\"}],\"licenseConcluded\":\"NOASSERTION\",\"copyrightText\":\"NOASSERTION\"}"
}

id_of() { # SPDX identifiers have letters, digits, "." and "-"
    echo "$1" | sed 's/[^A-Za-z0-9.-]/-/g'
}

relation() { # FROM WHAT TO
    echo "{\"spdxElementId\":\"$1\",\"relationshipType\":\"$2\",\"relatedSpdxElement\":\"$3\"}"
}

joined() {
    tr '\n' ',' | sed 's/,$//'
}

# Every file and the package it is of, as SPDX 2.3.
sbom_json() {
    : >"$work/packages"
    : >"$work/relations"
    sbom_file "$work/program" /kroc >"$work/files"
    relation SPDXRef-Package-kroc CONTAINS SPDXRef-File--kroc >>"$work/relations"
    { cat "$work/libraries"; printf '%s\n' /etc/ssl/certs/ca-certificates.crt /usr/share/zoneinfo/UTC; } |
        while read -r file; do
            case $file in
            /etc/*) of=$(package_of /usr/sbin/update-ca-certificates) ;;
            *) of=$(package_of "$file") ;;
            esac
            echo "$of" >>"$work/packages"
            sbom_file "$work/base" "$file" >>"$work/files"
            relation "SPDXRef-Package-$(id_of "${of% *}")" CONTAINS "SPDXRef-File-$(id_of "$file")" >>"$work/relations"
        done
    LC_ALL=C sort -u -o "$work/packages" "$work/packages"
    cat <<-JSON
	{"spdxVersion":"SPDX-2.3","dataLicense":"CC0-1.0","SPDXID":"SPDXRef-DOCUMENT","name":"kroc-$tag","documentNamespace":"https://spdx.org/spdxdocs/kroc-$tag-$(sha256sum "$work/program/kroc" | cut -c1-32)",
	"creationInfo":{"created":"$(created)","creators":["Tool: deploy/image.sh"]},
	"packages":[$({
        sbom_package kroc "$tag" generic Apache-2.0
        while read -r name v; do sbom_package "$name" "$v" deb/debian NOASSERTION; done <"$work/packages"
    } | joined)],
	"files":[$(joined <"$work/files")],
	"relationships":[$({
        relation SPDXRef-DOCUMENT DESCRIBES SPDXRef-Package-kroc
        while read -r name v; do
            relation SPDXRef-Package-kroc DEPENDS_ON "SPDXRef-Package-$(id_of "$name")"
        done <"$work/packages"
        cat "$work/relations"
    } | joined)]}
	JSON
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
	{"architecture":"$arch","os":"linux","created":"$(created)",
	"config":{"User":"$UID_NONROOT:$UID_NONROOT","Entrypoint":["/kroc"],"WorkingDir":"/",
	"Env":["PATH=/","SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"],
	"ExposedPorts":{"8078/tcp":{},"8079/tcp":{}},
	"Labels":{"org.opencontainers.image.title":"kroc",
	"org.opencontainers.image.description":"serves ResourceGraphDefinitions as one small, event-driven program",
	"org.opencontainers.image.licenses":"Apache-2.0","org.opencontainers.image.version":"$tag",
	"org.opencontainers.image.revision":"$(revision)","org.opencontainers.image.created":"$(created)"}},
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
	$(descriptor "$media.layer.v1.tar+gzip" "$program" "")],
	"annotations":{"org.opencontainers.image.version":"$tag","org.opencontainers.image.revision":"$(revision)",
	"org.opencontainers.image.created":"$(created)"}}
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
    tag=$(version_of) || exit 1
    arch=$(architecture) || exit 1
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    trap 'exit 1' INT TERM
    mkdir -p "$work/oci/blobs/sha256"
    base_root
    program_root
    layer base
    layer program
    write_archive
    echo "$out: $NAME, $tag for $arch, $(($(wc -c <"$out") / 1024)) KiB, sha256 $(sha256sum "$out" | cut -d' ' -f1)"
    hand_over
}

main "$@"
