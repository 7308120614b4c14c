#!/bin/sh
# Gives every manifest of the workspace sources that hold nothing, so that its dependencies can be built before it.
# Runs in an image's build only: in a checkout it would empty the sources that are there.
set -eu

[ ! -e .git ] && [ ! -e README.md ] || {
    echo "empty-sources: this is a checkout" >&2
    exit 1
}

for manifest in crates/*/Cargo.toml loadtest/Cargo.toml; do
    package=${manifest%/Cargo.toml}
    mkdir -p "$package/src"
    case $package in
        crates/sluice | loadtest) echo 'fn main() {}' >"$package/src/main.rs" ;;
        *) : >"$package/src/lib.rs" ;;
    esac
    # Benches that a manifest names must be there for it to be read.
    sed -n '/^\[\[bench\]\]/,/^$/s/^name = "\(.*\)"/\1/p' "$manifest" | while read -r bench; do
        mkdir -p "$package/benches"
        echo 'fn main() {}' >"$package/benches/$bench.rs"
    done
done
