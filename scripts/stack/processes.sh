# The stack as processes of this machine, for scripts/run-stack.sh: docker/haproxy.cfg with the addresses below. Each node has a
# loopback address of its own, so that ports are the same for all, as they are in containers.
# shellcheck shell=bash

STACK_NAME=processes
readonly STACK_NAME NET=127.83.0
PUBLIC=http://$NET.1:18080
declare -A pids=()

address_of() {
    case $1 in
        a) echo "$NET.11" ;;
        b) echo "$NET.12" ;;
        publisher) echo "$NET.13" ;;
    esac
}
ops_of() { echo "$(address_of "$1"):18082"; }
is_ready() { curl -fsS --max-time 2 "http://$(ops_of "$1")/readyz"; }

start_redis() {
    mkdir -p "$WORK/redis"
    redis-server --bind "$NET.10" --port 16379 --dir "$WORK/redis" --appendonly yes --save '' >"$WORK/redis.log" 2>&1 &
    pids[redis]=$!
    within 20 redis-cli -h "$NET.10" -p 16379 ping || fail "redis-server did not answer: $(tail -n 1 "$WORK/redis.log")"
}

start_node() {
    local name=$1 role=$2 address
    address=$(address_of "$name")
    env SLUICE_REDIS__URL="redis://$NET.10:16379" SLUICE_LISTEN__ADDR="$address:18080" \
        SLUICE_PUBLISHER__ADDR="$address:18081" SLUICE_OPS__ADDR="$address:18082" \
        SLUICE_AUTH__ANONYMOUS__SUBSCRIBE='["**"]' SLUICE_AUTH__ANONYMOUS__PUBLISH='["**"]' \
        SLUICE_DRAIN__DELAY_MS=4000 SLUICE_DRAIN__WINDOW_MS=4000 \
        "$SLUICE" "$role" >>"$WORK/$name.log" 2>&1 &
    pids[$name]=$!
    within 30 is_ready "$name" || fail "$name is not ready: $(tail -n 1 "$WORK/$name.log")"
}

start_haproxy() {
    env SLUICE_BIND="$NET.1:18080" SLUICE_GATEWAY_A="$(address_of a)" SLUICE_GATEWAY_B="$(address_of b)" \
        SLUICE_PUBLISHER="$(address_of publisher)" SLUICE_GATEWAY_PORT=18080 SLUICE_PUBLISHER_PORT=18081 \
        SLUICE_OPS_PORT=18082 SLUICE_MAXCONN=1000 \
        "$HAPROXY" -db -f docker/haproxy.cfg >"$WORK/haproxy.log" 2>&1 &
    pids[haproxy]=$!
    within 20 curl -fsS --max-time 2 "$PUBLIC/v1/topics/$TOPIC/events" || fail "haproxy: $(tail -n 1 "$WORK/haproxy.log")"
}

stack_up() {
    HAPROXY=$(PATH=$PATH:/usr/sbin command -v haproxy) || fail "no haproxy here: apt-get install haproxy"
    command -v redis-server >/dev/null || fail "no redis-server here: apt-get install redis-server"
    start_redis
    start_node a gateway
    start_node b gateway
    start_node publisher publisher
    start_haproxy
}

start_gateway() { start_node "$1" gateway; }
stop_gateway() {
    kill -TERM "${pids[$1]}"
    wait "${pids[$1]}" && unset "pids[$1]"
}
kill_gateway() {
    kill -KILL "${pids[$1]}"
    wait "${pids[$1]}" 2>/dev/null || true
    unset "pids[$1]"
}

stack_down() {
    for name in haproxy a b publisher redis; do
        [ -n "${pids[$name]:-}" ] || continue
        kill -KILL "${pids[$name]}" 2>/dev/null || true
        wait "${pids[$name]}" 2>/dev/null || true
    done
}
stack_logs() { tail -n 5 "$WORK"/*.log "$WORK"/*.err; }
