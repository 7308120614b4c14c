# The stack in containers, for scripts/run-stack.sh: docker-compose.yml as it stands. Where base images can be had from no registry,
# they are made of Debian's packages (base-images.sh).
# shellcheck shell=bash

STACK_NAME=compose
readonly STACK_NAME
export SLUICE_PORT=${SLUICE_PORT:-18080}
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

# The image that scripts/build-image.sh built from these sources, if it did; else the binary of this checkout in the Dockerfile's last stage.
sluice_image() {
    if has_image sluice:local; then
        say "image: sluice:local, as scripts/build-image.sh built it"
        export SLUICE_IMAGE=sluice:local
        return
    fi
    say "image: the binary of this checkout on a base of Debian's packages (scripts/build-image.sh builds by the whole Dockerfile)"
    make_base runtime
    mkdir -p "$WORK/image"
    cp "$SLUICE" "$WORK/image/sluice"
    sed -n '/^FROM ${RUNTIME_IMAGE}/,$p' Dockerfile | sed -e 's/^FROM .*/FROM sluice-base-runtime/' \
        -e '/ca-certificates/d' -e 's|^COPY --from=build .*/sluice |COPY sluice |' >"$WORK/image/Dockerfile"
    docker_build -q -t sluice-stack "$WORK/image" >/dev/null 2>"$WORK/build.log" || fail "$(tail -n 3 "$WORK/build.log")"
    export SLUICE_IMAGE=sluice-stack
}

# docker-compose.yml asks for as many descriptors as 30,000 streams take at the balancer, which not every engine may give.
descriptors() {
    docker run --rm --ulimit nofile=65536:65536 "$SLUICE_IMAGE" --version >/dev/null 2>&1 && return
    say "this engine does not give 65,536 descriptors to a container: 4,096 instead"
    export SLUICE_NOFILE=4096 SLUICE_MAXCONN=1000
}

stack_up() {
    if registry_answers; then
        export SLUICE_IMAGE=${SLUICE_IMAGE:-sluice:local}
        compose build >"$WORK/build.log" 2>&1 || fail "the image does not build: $(tail -n 3 "$WORK/build.log")"
    else
        sluice_image
        make_base services
        export REDIS_IMAGE=sluice-base-services HAPROXY_IMAGE=sluice-base-services
    fi
    descriptors
    compose up -d --no-build >"$WORK/up.log" 2>&1 || fail "$(tail -n 3 "$WORK/up.log")"
    within 60 curl -fsS --max-time 2 "$PUBLIC/v1/topics/$TOPIC/events" || fail "nothing answers behind the balancer"
    within 60 is_healthy a || fail "the health check of gateway a does not pass"
}

is_healthy() { [ "$(docker inspect -f '{{.State.Health.Status}}' "$(compose ps -q "gateway-$1")")" = healthy ]; }

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
    stop_engine
}
stack_logs() { compose logs --tail 5; }
