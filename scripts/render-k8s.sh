#!/bin/sh
# Writes k8s/base and k8s/components from the chart with the values of k8s/values.yaml, so that the plain manifests cannot say
# anything else than the chart. --check writes nothing, and fails where what is there is not what would be written.
set -eu

cd "$(dirname "$0")/.."
. scripts/chart/tools.sh
[ -n "$helm" ] && [ -n "$python" ] || {
    echo "render-k8s: needs helm (or Go to install it with) and Python 3.11 with venv" >&2
    exit 1
}
render() {
    "$helm" template sluice helm/sluice --kube-version "$(echo "$KUBERNETES_VERSIONS" | sed 's/.* //').0" \
        -f k8s/values.yaml "$@"
}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
render >"$scratch/outside.yaml"
# The chart's own Redis excludes another, and autoscalers exclude numbers of replicas: both come from a second rendering.
render --set redis.url= --set redis.dev.enabled=true --set gateway.autoscaling.enabled=true \
    --set publisher.autoscaling.enabled=true >"$scratch/inside.yaml"
"$python" scripts/chart/plain.py "$@" "$scratch/outside.yaml" "$scratch/inside.yaml"
