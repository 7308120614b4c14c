#!/bin/sh
# Runs each fuzz target for a time, one after the other, and prints a table. Needs cargo-fuzz and a nightly
# toolchain; without them `make test` checks the same properties over the kept corpus and mutations of it.
#
#   scripts/fuzz.sh SECONDS [TARGET]..
#
# What is found on the way is kept in fuzz/target/corpus, so that the next run goes on where this one ended; an
# input that fails is put into fuzz/artifacts, and the whole fails.
set -eu

cd "$(dirname "$0")/.."
seconds=$1
shift
cargo=${CARGO:-cargo}
if ! "$cargo" +nightly fuzz --version >/dev/null 2>&1; then
    echo "SKIPPED: fuzzing, for want of cargo-fuzz and a nightly toolchain: cargo install --locked cargo-fuzz; rustup toolchain install nightly"
    exit 0
fi
[ $# -gt 0 ] || set -- $("$cargo" +nightly fuzz list)
"$cargo" +nightly fuzz build
host=$(rustc -vV | sed -n 's/^host: //p')
failed=0

row() {
    printf '| %-15s | %12s | %7s | %9s | %7s |\n' "$@"
}

row target executions edges corpus crashes
row --------------- -----------: ------: --------: ------:
for target in "$@"; do
    own=fuzz/target/corpus/$target log=fuzz/target/$target.log
    mkdir -p "$own" "fuzz/artifacts/$target"
    crashes=0
    ASAN_OPTIONS=detect_odr_violation=0 "fuzz/target/$host/release/$target" -max_total_time="$seconds" \
        -rss_limit_mb=2048 -timeout=20 -max_len=4096 -print_final_stats=1 -artifact_prefix="fuzz/artifacts/$target/" \
        "$own" "fuzz/corpus/$target" >"$log" 2>&1 || crashes=1
    executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    edges=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)
    corpus=$(sed -n 's/.* corp: \([0-9]*\).*/\1/p' "$log" | tail -n 1)
    row "$target" "${executions:-?}" "${edges:-?}" "${corpus:-?}" "$crashes"
    if [ "$crashes" -ne 0 ]; then
        failed=1
        grep -m 1 -A 3 'panicked at\|^==.*ERROR' "$log" || tail -n 20 "$log"
    fi
done
exit "$failed"
