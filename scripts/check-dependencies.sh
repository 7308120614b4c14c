#!/bin/sh
# Licences, sources, duplicates and known vulnerabilities of what is depended on, by deny.toml. Needs cargo-deny,
# and for the vulnerabilities a network that reaches the advisory database; what could not be looked at is said.
set -eu

cd "$(dirname "$0")/.."
cargo=${CARGO:-cargo}

if ! "$cargo" deny --version >/dev/null 2>&1; then
    echo "SKIPPED: licences, sources, duplicates, advisories (deny.toml), for want of cargo-deny: cargo install --locked cargo-deny"
    exit 0
fi
# An exception that nothing needs any more is as much of a fault as a duplicate that none covers.
"$cargo" deny --workspace check --deny unmatched-skip --deny unnecessary-skip bans licenses sources
if "$cargo" deny fetch db >/dev/null 2>&1; then
    "$cargo" deny --workspace check --disable-fetch advisories
else
    echo "SKIPPED: advisories, because https://github.com/rustsec/advisory-db cannot be fetched from here"
fi
