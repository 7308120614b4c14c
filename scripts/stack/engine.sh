# Whether a container engine answers, for scripts/run-stack.sh. One is started where that can be done.
# shellcheck shell=bash

engine_answers() { docker version --format '{{.Server.Version}}'; }

has_compose() { docker compose version || docker-compose --version; }

engine_ready() {
    command -v docker >/dev/null || return 1
    has_compose >/dev/null 2>&1 || return 1
    engine_answers >/dev/null 2>&1 && return 0
    [ "$(id -u)" -eq 0 ] && command -v dockerd >/dev/null || return 1
    dockerd --data-root "$WORK/docker" >"$WORK/dockerd.log" 2>&1 &
    dockerd_pid=$!
    within 30 engine_answers && return 0
    say "dockerd does not start here: $(tail -n 1 "$WORK/dockerd.log")"
    kill "$dockerd_pid" 2>/dev/null || true
    dockerd_pid=
    return 1
}
