#!/bin/sh
# Installs what the tests need beside Rust: redis-server and redis-cli, 7.0 or newer, and Chromium, without which
# the browser's tests say that they are skipped. Does nothing where all are there.
set -eu

oldest_major=7

fail() {
    echo "install-test-deps: $*" >&2
    exit 1
}

has() {
    command -v "$1" >/dev/null 2>&1
}

check_version() {
    version=$(redis-server --version | sed -n 's/.* v=\([0-9][0-9.]*\).*/\1/p')
    [ -n "$version" ] || fail "cannot read the version of $(command -v redis-server)"
    [ "${version%%.*}" -ge "$oldest_major" ] ||
        fail "redis-server is $version, but the tests need $oldest_major.0 or newer: install it from https://redis.io/docs/latest/operate/oss_and_stack/install/"
    echo "redis-server $version: $(command -v redis-server)"
}

has_redis() {
    has redis-server && has redis-cli
}

has_browser() {
    has chromium || has chromium-browser || has google-chrome
}

install() {
    as_root=
    if [ "$(id -u)" -ne 0 ]; then
        has sudo || fail "installing takes root, and there is no sudo: run as root: apt-get install $*"
        as_root=sudo
    fi
    $as_root apt-get update -q
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"
}

if ! has_redis; then
    has apt-get || fail "no apt-get here: install redis-server and redis-cli $oldest_major.0 or newer with this system's package manager and have both in PATH (Homebrew: brew install redis; Alpine: apk add redis; Fedora: dnf install redis)"
    install redis-server redis-tools
    has_redis || fail "apt-get ended well, but redis-server or redis-cli is not in PATH"
fi
check_version

# Redis is needed, a browser is only missed: what cannot be had is told, and is no failure.
if ! has_browser; then
    if has apt-get; then
        (install chromium) || echo "install-test-deps: chromium cannot be installed; the browser's tests will be skipped" >&2
    else
        echo "install-test-deps: no chromium here; the browser's tests will be skipped" >&2
    fi
fi
