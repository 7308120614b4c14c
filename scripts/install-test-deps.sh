#!/bin/sh
# Installs every program that a test of `make test` runs: redis-server and redis-cli (7.0 or newer), Chromium, nginx, HAProxy, curl, Node,
# and an OTLP receiver (rotel-agent, from PyPI). What is already there is left alone, so a second run takes a fraction of a second.
#
# Redis is required: without it this script fails. The other programs are optional: where one cannot be installed, this script
# says which tests will be skipped. `target/test-tools/env` then names what was found; `make test` reads it, so that a test whose
# program is installed fails rather than skips itself.
set -eu

cd "$(dirname "$0")/.."
oldest_major=7
rotel=rotel==0.0.1a15
tools=target/test-tools
# Debian keeps servers out of the PATH of ordinary users.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

say() { echo "install-test-deps: $*"; }
fail() {
    say "$*" >&2
    exit 1
}

# any NAME..: whether one of the programs is in PATH.
any() {
    for name in "$@"; do
        if command -v "$name" >/dev/null 2>&1; then return 0; fi
    done
    return 1
}

# present TOOL: whether the program that tests call TOOL can be run here.
present() {
    case $1 in
        redis) any redis-server && any redis-cli ;;
        chromium) any chromium chromium-browser google-chrome ;;
        node) any node nodejs ;;
        rotel-agent) [ -n "$(rotel_agent)" ] ;;
        *) any "$1" ;;
    esac
}

# The Debian packages of a tool.
packages_of() {
    case $1 in
        redis) echo redis-server redis-tools ;;
        node) echo nodejs ;;
        *) echo "$1" ;;
    esac
}

# What is not tested without a tool.
tests_of() {
    case $1 in
        chromium) echo "the tests with a browser" ;;
        nginx) echo "the tests of docker/nginx.conf and of sluice doctor behind nginx" ;;
        haproxy) echo "the tests of docker/haproxy.cfg" ;;
        curl) echo "the tests with curl as the client" ;;
        node) echo "the test with Node's fetch as the client" ;;
        rotel-agent) echo "the test with an independent OTLP receiver" ;;
    esac
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

can_be_root() {
    [ "$(id -u)" -eq 0 ] || any sudo
}

# Debian starts a server as soon as its package is installed. The tests start their own, so that is prevented
# (policy-rc.d, Debian Policy 9.3.3), unless the machine has a policy already.
policy=/usr/sbin/policy-rc.d
own_policy=
forbid_starts() {
    [ ! -e "$policy" ] || return 0
    own_policy=yes
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
}
allow_starts() {
    [ -z "$own_policy" ] || as_root rm -f "$policy"
    own_policy=
}
trap allow_starts EXIT
trap 'exit 130' INT TERM

apt_install() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"
}

# install_packages TOOL..: all in one go, and one by one where that fails, so that one unknown package does not cost the others.
install_packages() {
    packages=
    for tool in "$@"; do packages="$packages $(packages_of "$tool")"; done
    say "installing$packages"
    forbid_starts
    as_root apt-get update -q || say "apt-get update failed; trying with the lists that are here" >&2
    # Unquoted: these are lists of words.
    # shellcheck disable=SC2086
    if ! apt_install $packages; then
        for tool in "$@"; do apt_install $(packages_of "$tool") || true; done
    fi
    allow_starts
}

rotel_agent() {
    for candidate in "${ROTEL_AGENT:-}" "$(command -v rotel-agent || true)" "$PWD/$tools"/rotel/lib/python*/site-packages/rotel/rotel-agent; do
        if [ -n "$candidate" ] && [ -x "$candidate" ]; then
            echo "$candidate"
            return 0
        fi
    done
}

# The receiver is a binary in a Python package.
install_rotel() {
    any python3 || return 1
    say "installing $rotel into $tools/rotel"
    rm -rf "$tools/rotel"
    mkdir -p "$tools"
    python3 -m venv "$tools/rotel" && "$tools/rotel/bin/pip" install --quiet --disable-pip-version-check "$rotel"
}

check_redis() {
    version=$(redis-server --version | sed -n 's/.* v=\([0-9][0-9.]*\).*/\1/p')
    [ -n "$version" ] || fail "cannot read the version of $(command -v redis-server)"
    [ "${version%%.*}" -ge "$oldest_major" ] ||
        fail "redis-server is $version, but the tests need $oldest_major.0 or newer: install it from https://redis.io/docs/latest/operate/oss_and_stack/install/"
    say "redis-server $version: $(command -v redis-server)"
}

packaged="redis chromium nginx haproxy curl node"
missing=
for tool in $packaged; do present "$tool" || missing="$missing $tool"; done
if [ -n "$missing" ] && any apt-get && can_be_root; then
    # shellcheck disable=SC2086
    install_packages $missing
fi
if ! present redis; then
    any apt-get || fail "no apt-get here: install redis-server and redis-cli $oldest_major.0 or newer with this system's package manager and have both in PATH (Homebrew: brew install redis; Alpine: apk add redis; Fedora: dnf install redis)"
    can_be_root || fail "installing takes root, and there is no sudo: run as root: apt-get install$(for tool in $missing; do printf ' %s' "$(packages_of "$tool")"; done)"
    fail "redis-server or redis-cli is not in PATH after apt-get install"
fi
check_redis
present rotel-agent || install_rotel || true

found=
for tool in $packaged rotel-agent; do
    if present "$tool"; then
        found="$found${found:+,}$tool"
    else
        say "$tool cannot be installed here; SKIPPED: $(tests_of "$tool")" >&2
    fi
done
mkdir -p "$tools"
{
    echo "TEST_TOOLS=$found"
    echo "ROTEL_AGENT=$(rotel_agent)"
} >"$tools/env"
