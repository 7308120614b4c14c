# Whether a container engine answers, for scripts/run-stack.sh and scripts/build-image.sh. One is started where that can be done, with
# a data root of its own that lasts (ENGINE_ROOT), so that what was built once is there the next time.
# shellcheck shell=bash

readonly ENGINE_ROOT=${ENGINE_ROOT:-${TMPDIR:-/tmp}/sluice-engine}
dockerd_pid=

engine_answers() { docker version --format '{{.Server.Version}}'; }

has_compose() { docker compose version || docker-compose --version; }

engine_ready() {
    command -v docker >/dev/null || return 1
    engine_answers >/dev/null 2>&1 && return 0
    [ "$(id -u)" -eq 0 ] && command -v dockerd >/dev/null || return 1
    # overlay2 cannot stand on every file system; vfs can, and copies.
    for driver in overlay2 vfs; do
        dockerd --data-root "$ENGINE_ROOT" --storage-driver "$driver" >"$WORK/dockerd.log" 2>&1 &
        dockerd_pid=$!
        within 30 engine_answers && return 0
        stop_engine
    done
    say "dockerd does not start here: $(tail -n 1 "$WORK/dockerd.log")"
    return 1
}

# Ends the engine that was started here, if any.
stop_engine() {
    [ -n "$dockerd_pid" ] || return 0
    { kill "$dockerd_pid" && wait "$dockerd_pid"; } 2>/dev/null || true
    dockerd_pid=
}

# Whether base images can be pulled: the smallest of those that are named anywhere.
registry_answers() { timeout 60 docker pull -q "${REDIS_IMAGE:-redis:7.2-alpine}" >/dev/null 2>&1; }

# BuildKit where its plugin is there, else the classic builder.
docker_build() {
    if docker buildx version >/dev/null 2>&1; then docker build "$@"; else DOCKER_BUILDKIT=0 docker build "$@"; fi
}

# Whether the command succeeds within so many seconds.
within() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < deadline)) || return 1
        sleep 0.2
    done
}
