# The stack in containers, for scripts/run-stack.sh: docker-compose.yml as it stands. Where base images can be had from no registry,
# debootstrap makes one with Debian's redis-server and haproxy, and the binary of this checkout is put on top of it.
# shellcheck shell=bash

STACK_NAME=compose
readonly STACK_NAME
export SLUICE_PORT=${SLUICE_PORT:-18080}
# An engine that was started here can give no more descriptors than it has.
if [ -n "${dockerd_pid:-}" ]; then export SLUICE_NOFILE=${SLUICE_NOFILE:-4096} SLUICE_MAXCONN=${SLUICE_MAXCONN:-1000}; fi
PUBLIC=http://127.0.0.1:$SLUICE_PORT

compose() {
    if docker compose version >/dev/null 2>&1; then
        docker compose -p sluice-stack "$@"
    else
        docker-compose -p sluice-stack "$@"
    fi
}

ops_of() {
    local service=$1
    [ "$service" = publisher ] || service=gateway-$service
    echo "$(docker inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$(compose ps -q "$service")"):8082"
}

make_base() {
    command -v debootstrap >/dev/null || fail "no registry answers, and there is no debootstrap to make a base image"
    say "base images SKIPPED: no registry; one made by debootstrap instead, with the binary of this checkout"
    debootstrap --variant=minbase --include=ca-certificates,redis-server,haproxy bookworm "$WORK/root" >"$WORK/debootstrap.log" 2>&1 ||
        fail "debootstrap: $(tail -n 1 "$WORK/debootstrap.log")"
    tar -C "$WORK/root" -c . | docker import - sluice-stack-base >/dev/null
    rm -rf "$WORK/root"
    mkdir -p "$WORK/image"
    cp "$SLUICE" "$WORK/image/sluice"
    # The final stage of the Dockerfile, on another base.
    sed -n '/^FROM ${RUNTIME_IMAGE}/,$p' Dockerfile | sed -e 's/^FROM .*/FROM sluice-stack-base/' \
        -e '/ca-certificates/d' -e 's|^COPY --from=build .*/sluice |COPY sluice |' >"$WORK/image/Dockerfile"
    DOCKER_BUILDKIT=0 docker build -q -t sluice-stack "$WORK/image" >/dev/null
    export SLUICE_IMAGE=sluice-stack REDIS_IMAGE=sluice-stack-base HAPROXY_IMAGE=sluice-stack-base
}

stack_up() {
    if compose pull -q redis haproxy >"$WORK/pull.log" 2>&1; then
        compose build >"$WORK/build.log" 2>&1 || fail "the image does not build: $(tail -n 3 "$WORK/build.log")"
    else
        make_base
    fi
    compose up -d --no-build >"$WORK/up.log" 2>&1 || fail "$(tail -n 3 "$WORK/up.log")"
    within 60 curl -fsS --max-time 2 "$PUBLIC/v1/topics/$TOPIC/events" || fail "nothing answers behind the balancer"
}

start_gateway() { compose start "gateway-$1" >>"$WORK/up.log" 2>&1; }
stop_gateway() {
    local container
    container=$(compose ps -q "gateway-$1")
    compose stop "gateway-$1" >>"$WORK/up.log" 2>&1
    [ "$(docker inspect -f '{{.State.ExitCode}}' "$container")" = 0 ]
}
kill_gateway() { compose kill -s KILL "gateway-$1" >>"$WORK/up.log" 2>&1; }

stack_down() {
    compose down -v --remove-orphans >/dev/null 2>&1
    [ -z "${dockerd_pid:-}" ] || { kill "$dockerd_pid" && wait "$dockerd_pid"; } 2>/dev/null || true
}
stack_logs() { compose logs --tail 5; }
