#!/usr/bin/env bash
# Runs every program of docs/clients.md and docs/publishing.md, as it stands there, against real nodes (clients/run.py says how it judges).
# A program whose toolchain or registry is missing is skipped, and that is said. Needs Python 3.11, redis-server, and a built `sluice`
# (SLUICE_BIN, else target/release or target/debug). What is fetched and built stays in target/clients.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
say() { echo "run-clients: $*"; }

command -v python3 >/dev/null || { say "SKIPPED: no python3 here"; exit 0; }
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { say "SKIPPED: $(python3 --version) is older than 3.11"; exit 0; }
for candidate in "${SLUICE_BIN:-}" target/release/sluice target/debug/sluice; do
    if [ -n "$candidate" ] && [ -x "$candidate" ]; then
        PYTHONDONTWRITEBYTECODE=1 exec python3 scripts/clients/run.py "$candidate" "$@"
    fi
done
say "no sluice to run: cargo build -p sluice, or SLUICE_BIN=.." >&2
exit 1
