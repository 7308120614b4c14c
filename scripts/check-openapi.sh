#!/bin/sh
# Holds docs/openapi.yaml against running processes with schemathesis, which is installed below target/ from PyPI. What cannot be checked
# here is said as SKIPPED.
set -eu

cd "$(dirname "$0")/.."
SCHEMATHESIS=4.32.5
sluice=${SLUICE:-target/debug/sluice}
tools=$PWD/target/openapi-tools
# One script reads another; what Python compiles of it does not belong among the sources.
export PYTHONDONTWRITEBYTECODE=1

installed() {
    "$tools/venv/bin/schemathesis" --version 2>/dev/null | grep -q " $SCHEMATHESIS\$"
}

install() {
    mkdir -p "$tools"
    rm -rf "$tools/venv"
    { python3 -m venv "$tools/venv" && "$tools/venv/bin/pip" install --quiet "schemathesis==$SCHEMATHESIS"; } >"$tools/python.log" 2>&1
}

if [ ! -x "$sluice" ]; then
    echo "SKIPPED: docs/openapi.yaml against running processes: there is no $sluice (cargo build -p sluice)"
elif ! installed && ! install; then
    echo "SKIPPED: docs/openapi.yaml against running processes: it needs Python 3.10 or newer with venv, and PyPI for schemathesis"
else
    "$tools/venv/bin/python" scripts/openapi/run.py "$sluice" "$tools/venv/bin/schemathesis"
fi
