#!/bin/sh
# Leaves of the workspace's packages their manifests alone, with sources that hold nothing, so that dependencies can be built before
# it. Runs in an image's build only: a checkout would lose the sources that are there.
set -eu

[ ! -e .git ] && [ ! -e README.md ] || {
    echo "empty-sources: this is a checkout" >&2
    exit 1
}

find crates loadtest -type f ! -name Cargo.toml -delete
find crates loadtest -type d -empty -delete

for manifest in crates/*/Cargo.toml loadtest/Cargo.toml; do
    package=${manifest%/Cargo.toml}
    mkdir -p "$package/src"
    case $package in
        crates/sluice | loadtest) echo 'fn main() {}' >"$package/src/main.rs" ;;
        *) : >"$package/src/lib.rs" ;;
    esac
    # Targets that a manifest names must be there for it to be read.
    for kind in bench test; do
        sed -n "/^\[\[$kind\]\]/,/^\$/s/^name = \"\(.*\)\"/\1/p" "$manifest" | while read -r target; do
            directory=$package/${kind}s
            [ "$kind" = bench ] && directory=$package/benches
            mkdir -p "$directory"
            echo 'fn main() {}' >"$directory/$target.rs"
        done
    done
done
