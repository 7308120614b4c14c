# Base images where no registry answers, of what Debian's archive and this machine have: for scripts/build-image.sh and
# scripts/run-stack.sh. Need root, debootstrap and apt. Each is made once and kept by the engine.
# shellcheck shell=bash

readonly BASES_SUITE=${BASES_SUITE:-bookworm}

has_image() { docker image inspect "$1" >/dev/null 2>&1; }

# Debian's smallest system and some packages, as a folder.
debian_root() {
    local root=$1 packages=$2
    command -v debootstrap >/dev/null || fail "no registry answers, and there is no debootstrap to make a base image"
    debootstrap --variant=minbase --include="$packages" "$BASES_SUITE" "$root" >"$WORK/debootstrap.log" 2>&1 ||
        fail "debootstrap: $(tail -n 1 "$WORK/debootstrap.log")"
    rm -rf "$root/var/cache/apt" "$root/var/lib/apt/lists"
}

# For the first stages of the Dockerfile: a C compiler, make, and this machine's Rust.
build_base() {
    local root=$WORK/build-root sysroot
    sysroot=$(rustc --print sysroot)
    debian_root "$root" ca-certificates,gcc,libc6-dev,make
    mkdir -p "$root/usr/local/rust"
    tar -C "$sysroot" --exclude=./share --exclude=./lib/rustlib/src -c . | tar -C "$root/usr/local/rust" -x
    tar -C "$root" -c . | docker import --change 'ENV PATH=/usr/local/rust/bin:/usr/sbin:/usr/bin:/sbin:/bin' - "$1" >/dev/null
    rm -rf "$root"
}

# For the last stage, after the manner of distroless: the C library, the unwinder, a user; no shell, no package manager.
runtime_base() {
    local root=$WORK/runtime-root
    mkdir -p "$root/etc" "$root/tmp" "$WORK/debs"
    chmod 1777 "$root/tmp"
    (cd "$WORK/debs" && apt-get download -qq libc6 libgcc-s1 >/dev/null 2>&1) || fail "apt-get cannot download libc6 and libgcc-s1"
    for deb in "$WORK"/debs/*.deb; do dpkg-deb -x "$deb" "$root"; done
    rm -rf "$root/usr/share"
    echo 'nonroot:x:65532:65532::/:/sbin/nologin' >"$root/etc/passwd"
    echo 'nonroot:x:65532:' >"$root/etc/group"
    tar -C "$root" -c . | docker import - "$1" >/dev/null
    rm -rf "$root" "$WORK/debs"
}

# For what stands beside Sluice in docker-compose.yml.
services_base() {
    local root=$WORK/services-root
    debian_root "$root" redis-server,haproxy
    tar -C "$root" -c . | docker import - "$1" >/dev/null
    rm -rf "$root"
}

# make_base KIND: the image sluice-base-KIND, made unless it is there.
make_base() {
    has_image "sluice-base-$1" && return
    say "base image for $1: no registry answers, so one is made of Debian's packages"
    "$1_base" "sluice-base-$1"
}
