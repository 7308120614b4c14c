#!/usr/bin/env bash
# Builds the image by the Dockerfile, as `sluice:local` or SLUICE_IMAGE, and says how large it is. Where no registry answers, the base images are made
# of Debian's packages and this machine's Rust, and the script says so. PROFILE and FEATURES are the Dockerfile's arguments; BUILD_ARGS takes
# further ones of `docker build`. Says plainly that it was skipped where no engine can run; REQUIRED=yes makes that a failure.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
readonly IMAGE=${SLUICE_IMAGE:-sluice:local}
WORK=$(mktemp -d "${TMPDIR:-/tmp}/sluice-image.XXXXXX")
readonly WORK
say() { echo "build-image: $*"; }
fail() {
    say "FAILED: $*" >&2
    exit 1
}

source scripts/stack/engine.sh
source scripts/stack/base-images.sh

leave() {
    local code=$?
    trap - EXIT
    stop_engine
    if ((code)); then say "what was printed is in $WORK" >&2; else rm -rf "$WORK"; fi
    exit "$code"
}
trap leave EXIT
trap 'exit 130' INT TERM

if ! engine_ready; then
    [ "${REQUIRED:-no}" = no ] || fail "no container engine answers, and none could be started"
    say "SKIPPED: no container engine answers, and none could be started"
    exit 0
fi

arguments=(--build-arg "PROFILE=${PROFILE:-release}" --build-arg "FEATURES=${FEATURES:-}")
if ! registry_answers; then
    make_base build
    make_base runtime
    arguments+=(--build-arg BUILD_IMAGE=sluice-base-build --build-arg RUNTIME_IMAGE=sluice-base-runtime)
fi
for name in HTTP_PROXY HTTPS_PROXY NO_PROXY; do
    [ -z "${!name:-}" ] || arguments+=(--build-arg "$name")
done

began=$SECONDS
# shellcheck disable=SC2086 # words of BUILD_ARGS
docker_build "${arguments[@]}" ${BUILD_ARGS:-} -t "$IMAGE" . >"$WORK/build.log" 2>&1 || fail "$(tail -n 5 "$WORK/build.log")"
docker run --rm --read-only --cap-drop ALL "$IMAGE" --version >"$WORK/version" || fail "the image does not run"
say "OK in $((SECONDS - began)) s: $IMAGE, $(cat "$WORK/version")," \
    "$(docker image inspect -f '{{.Size}}' "$IMAGE" | awk '{ printf "%.1f MB", $1 / 1e6 }')," \
    "user $(docker image inspect -f '{{.Config.User}}' "$IMAGE")"
