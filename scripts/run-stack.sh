#!/usr/bin/env bash
# Runs the stack of docker-compose.yml and counts: streams go through the balancer while one gateway is stopped in good order, comes
# back, and the other one is killed. Every stream must print every event, once and in order; anything else is a failure.
#
# Where no container engine can run, the same docker/haproxy.cfg balances processes of this machine, and the script says that compose
# was skipped. Needs curl and a built `sluice` (SLUICE_BIN, else target/release or target/debug); without an engine also
# haproxy and redis-server. STACK=compose fails where no engine can run; STACK=processes does not look for one.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
readonly EVENTS=${EVENTS:-600} TAILS=${TAILS:-8} PER_SECOND=${PER_SECOND:-20}
STACK=${STACK:-auto}
WORK=$(mktemp -d "${TMPDIR:-/tmp}/sluice-stack.XXXXXX")
readonly WORK TOPIC=stack/run
tails=()

say() { echo "run-stack: $*"; }
fail() {
    say "FAILED: $*" >&2
    exit 1
}

leave() {
    local code=$?
    trap - EXIT
    for tail in "${tails[@]}"; do kill "$tail" 2>/dev/null || true; done
    if ((code)); then stack_logs >&2 || true; fi
    stack_down || true
    if ((code)); then say "what was printed is in $WORK" >&2; else rm -rf "$WORK"; fi
    exit "$code"
}

find_binary() {
    for candidate in "${SLUICE_BIN:-}" target/release/sluice target/debug/sluice; do
        # A binary from before health checks is older than this stack.
        if [ -n "$candidate" ] && "$candidate" health --help >/dev/null 2>&1; then
            realpath "$candidate"
            return
        fi
    done
    fail "no sluice to run: cargo build -p sluice, or SLUICE_BIN=.."
}

streams_of() {
    curl -fsS --max-time 2 "http://$(ops_of "$1")/metrics" | awk '$1 ~ /^sluice_streams_open({|$)/ { n += $2 } END { print n + 0 }'
}
has_streams() { (($(streams_of "$1") >= $2)); }

publish() {
    local n=$1
    # The key makes the retry of a request harmless that may have been carried out.
    curl -fsS --max-time 5 --retry 20 --retry-delay 1 --retry-all-errors -o /dev/null \
        -H 'content-type: text/plain' -H "idempotency-key: $n" -d "$n" \
        "$PUBLIC/v1/topics/$TOPIC/events" || fail "event $n was not taken"
}

# Events from one number to another, at an even pace.
publish_range() {
    for ((n = $1; n <= $2; n++)); do
        publish "$n"
        sleep "$(awk -v r="$PER_SECOND" 'BEGIN { print 1 / r }')"
    done
}

open_tails() {
    for ((i = 0; i < TAILS; i++)); do
        timeout 180 "$SLUICE" tail "$TOPIC" --since earliest --count "$EVENTS" --url "$PUBLIC" \
            >"$WORK/tail-$i" 2>"$WORK/tail-$i.err" &
        tails+=($!)
    done
}

# Every event, once, in order: byte for byte what `seq` prints.
count() {
    local wrong=0
    seq 1 "$EVENTS" >"$WORK/expected"
    for ((i = 0; i < TAILS; i++)); do
        wait "${tails[$i]}" || say "stream $i ended with an error: $(tail -n 1 "$WORK/tail-$i.err")"
        cmp -s "$WORK/expected" "$WORK/tail-$i" || {
            wrong=$((wrong + 1))
            say "stream $i: $(wc -l <"$WORK/tail-$i") of $EVENTS lines; first difference:" \
                "$(diff "$WORK/expected" "$WORK/tail-$i" | head -n 2 | tr '\n' ' ')"
        }
    done
    tails=()
    ((wrong == 0)) || fail "$wrong of $TAILS streams lost, repeated or reordered events"
}

run() {
    local third=$((EVENTS / 3))
    open_tails
    within 20 has_streams a 1 || fail "gateway a took no stream"
    within 20 has_streams b 1 || fail "gateway b took no stream"
    say "streams: a $(streams_of a), b $(streams_of b)"

    publish_range 1 "$third" &
    sleep 2
    stop_gateway a || fail "gateway a did not leave in good order"
    wait $! || exit 1
    within 30 has_streams b "$TAILS" || fail "b has $(streams_of b) of $TAILS streams after a left"
    say "gateway a left: b has all $TAILS streams"

    start_gateway a
    publish_range $((third + 1)) $((2 * third)) &
    within 30 is_in_rotation a || fail "the balancer did not take gateway a back"
    kill_gateway b
    wait $! || exit 1
    within 30 has_streams a "$TAILS" || fail "a has $(streams_of a) of $TAILS streams after b was killed"
    say "gateway b was killed: a has all $TAILS streams"

    publish_range $((2 * third + 1)) "$EVENTS"
    count
}

# That a node is ready does not say that the balancer knows: it does after `rise` checks, a second apart.
is_in_rotation() {
    curl -fsS --max-time 2 "http://$(ops_of "$1")/readyz" && sleep 3
}

SLUICE=$(find_binary)
source scripts/stack/engine.sh
if [ "$STACK" != processes ] && engine_ready && has_compose >/dev/null 2>&1; then
    source scripts/stack/base-images.sh
    source scripts/stack/compose.sh
elif [ "$STACK" = compose ]; then
    fail "no container engine with compose answers, and none could be started"
else
    stop_engine
    say "compose SKIPPED: no engine with compose; the same haproxy.cfg with processes instead"
    source scripts/stack/processes.sh
fi
trap leave EXIT
trap 'exit 130' INT TERM
stack_up
began=$SECONDS
run
say "OK in $((SECONDS - began)) s with $STACK_NAME: $TAILS streams x $EVENTS events, none lost, none repeated, all in order;" \
    "one gateway was stopped, one was killed"
