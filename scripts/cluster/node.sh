#!/usr/bin/env bash
# What scripts/check-cluster.sh does within its name spaces.
set -euo pipefail

readonly TOPIC=hello READERS=8 EVENTS=400
fail() {
    echo "check-cluster: FAILED: $*" >&2
    kube -n sluice get pods -o wide >&2 || true
    kube -n sluice get events --sort-by .lastTimestamp 2>/dev/null | tail -n 8 >&2 || true
    tail -n 2 "$WORK"/*.log >&2
    exit 1
}

# shellcheck source=scripts/cluster/control-plane.sh
. scripts/cluster/control-plane.sh
# shellcheck source=scripts/cluster/images.sh
. scripts/cluster/images.sh

chart() { "$HELM" --namespace sluice "$@" >"$WORK/helm.log" 2>&1 || fail "helm $1: $(tail -n 3 "$WORK/helm.log")"; }

# The address of a Service, as pods and this host reach it.
service() { kube -n sluice get service "sluice-$1" -o 'jsonpath={.spec.clusterIP}'; }

# As docs/deployment.md has it, under the strictest pod security standard.
install() {
    kube create namespace sluice >/dev/null
    kube label namespace sluice pod-security.kubernetes.io/enforce=restricted >/dev/null
    chart install sluice helm/sluice --set image.repository=registry.example/sluice --set redis.dev.enabled=true \
        --set "config.auth.anonymous.subscribe={$TOPIC}" --set "config.auth.anonymous.publish={$TOPIC}" --set "tests.topic=$TOPIC"
    for what in statefulset/sluice-redis deployment/sluice-gateway deployment/sluice-publisher; do
        within 120 kube -n sluice rollout status "$what" --timeout 1s
    done
}

# Every event once, however often it has to be sent.
publish_all() {
    local url
    url=http://$(service publisher)/v1/topics/$TOPIC/events
    for number in $(seq "$EVENTS"); do
        until curl -sf -m 3 -o /dev/null -H "Idempotency-Key: e$number" -H 'content-type: text/plain' -d "e$number" "$url"; do
            sleep 0.1
        done
        sleep 0.2
    done
}

# All pods are replaced while streams are read, and nothing may be lost, repeated or out of place.
restart_under_streams() {
    local readers=() reader
    for reader in $(seq "$READERS"); do
        timeout 240 target/release/sluice tail "$TOPIC" --url "http://$(service gateway)" --count "$EVENTS" \
            >"$WORK/read.$reader" 2>"$WORK/read-errors.$reader" &
        readers+=($!)
    done
    within 20 streams_open "$READERS"
    kube -n sluice rollout restart deployment/sluice-gateway deployment/sluice-publisher >/dev/null
    publish_all
    for reader in "${readers[@]}"; do wait "$reader" || fail "a reader did not get all events"; done
    within 180 kube -n sluice rollout status deployment/sluice-gateway --timeout 1s
    for reader in $(seq "$READERS"); do
        cmp -s "$WORK/read.$reader" <(seq -f 'e%.0f' "$EVENTS") || fail "a reader got other events than those published"
    done
}

streams_open() {
    local open=0 pod
    for pod in $(kube -n sluice get pods -l app.kubernetes.io/component=gateway -o 'jsonpath={.items[*].status.podIP}'); do
        open=$((open + $(curl -sf -m 2 "http://$pod:8082/metrics" | awk '$1 == "sluice_streams_open" { print $2 }')))
    done
    ((open == $1))
}

restarts() { kube -n sluice get pods -o 'jsonpath={.items[*].status.containerStatuses[*].restartCount}' | tr ' ' '+'; }

network
runtime
import_images
api_server
controllers
kubelet
echo "check-cluster: $(kube get nodes -o 'jsonpath={.items[0].status.nodeInfo.kubeletVersion}, {.items[0].status.nodeInfo.containerRuntimeVersion}')"
install
echo "check-cluster: installed, every pod is ready"
chart test sluice
echo "check-cluster: helm test passes"
restart_under_streams
echo "check-cluster: $READERS streams of $EVENTS events over a rolling restart of all pods: nothing lost, repeated or out of place"
(($(restarts) == 0)) || fail "a container was restarted"
chart uninstall sluice --wait --timeout 120s
echo "check-cluster: well"
