#!/bin/sh
# Applies what the chart and k8s/ render to a real kube-apiserver, with the custom resources' definitions: defaulting, validation,
# their CEL rules, and admission under the `restricted` pod security standard. Nothing runs: there are no controllers. Then the
# chart is installed, upgraded and rolled back by Helm.
#
# The server and etcd are built from their Go modules below target/, once; needs Go, kubectl and openssl.
set -eu

cd "$(dirname "$0")/.."
. scripts/chart/tools.sh
. scripts/chart/kubernetes.sh
port=${CHART_SERVER_PORT:-26443}

for tool in go kubectl openssl; do
    has "$tool" || {
        echo "check-chart-server: SKIPPED, for want of $tool" >&2
        exit 0
    }
done
[ -n "$helm" ] && [ -n "$python" ] || {
    echo "check-chart-server: SKIPPED, for want of helm or Python 3.11 with venv" >&2
    exit 0
}

api() {
    kubectl --kubeconfig "$run/kubeconfig" "$@"
}

start() {
    run=$(mktemp -d)
    trap stop EXIT
    trap 'exit 1' INT TERM
    openssl genrsa -out "$run/key.pem" 2048 2>/dev/null
    token=$(openssl rand -hex 16)
    echo "$token,admin,admin,system:masters" >"$run/tokens.csv"
    store=http://127.0.0.1:$((port + 1)) peer=http://127.0.0.1:$((port + 2))
    "$kubernetes/bin/server" --data-dir "$run/etcd" --unsafe-no-fsync --log-level warn \
        --listen-client-urls "$store" --advertise-client-urls "$store" --listen-peer-urls "$peer" \
        --initial-advertise-peer-urls "$peer" --initial-cluster "default=$peer" >"$run/etcd.log" 2>&1 &
    etcd=$!
    # Without the ServiceAccount plugin, since nothing here makes the accounts that it waits for.
    "$kubernetes/bin/kube-apiserver" --etcd-servers "$store" --cert-dir "$run/certs" --bind-address 127.0.0.1 \
        --secure-port "$port" --service-cluster-ip-range 10.96.0.0/16 --token-auth-file "$run/tokens.csv" \
        --service-account-issuer https://kubernetes.default --service-account-key-file "$run/key.pem" \
        --service-account-signing-key-file "$run/key.pem" --authorization-mode RBAC \
        --disable-admission-plugins ServiceAccount >"$run/apiserver.log" 2>&1 &
    apiserver=$!
    cat >"$run/kubeconfig" <<KUBECONFIG
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://127.0.0.1:$port", insecure-skip-tls-verify: true}}]
users: [{name: u, user: {token: $token}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
current-context: c
KUBECONFIG
    tries=0
    until api get --raw /readyz >/dev/null 2>&1; do
        tries=$((tries + 1))
        if [ "$tries" -ge 120 ] || ! kill -0 "$apiserver" 2>/dev/null || ! kill -0 "$etcd" 2>/dev/null; then
            tail -n 5 "$run/etcd.log" "$run/apiserver.log" >&2
            exit 1
        fi
        sleep 1
    done
}

stop() {
    for process in "${apiserver:-}" "${etcd:-}"; do
        [ -z "$process" ] || { kill "$process" && wait "$process"; } 2>/dev/null || true
    done
    rm -rf "$run"
}

definitions() {
    gateway_api=$(go_module "$GATEWAY_API")/config/crd/standard
    operator=$(go_module "$PROMETHEUS_OPERATOR")/example/prometheus-operator-crd
    api apply --server-side -f "$gateway_api/gateway.networking.k8s.io_httproutes.yaml" \
        -f "$operator/monitoring.coreos.com_servicemonitors.yaml" -f "$operator/monitoring.coreos.com_prometheusrules.yaml" \
        >/dev/null
    # ci/full-values.yaml names it.
    api create priorityclass edge --value 1000 >/dev/null
    api wait --for condition=established --timeout 60s crd --all >/dev/null
}

# restricted <namespace>
restricted() {
    api create namespace "$1" --dry-run=client -o yaml | api apply --server-side -f - >/dev/null
    api label --overwrite namespace "$1" pod-security.kubernetes.io/enforce=restricted \
        pod-security.kubernetes.io/warn=restricted >/dev/null
}

# applied <name> <namespace> <manifest>: strictly, and its Deployments' and StatefulSets' pods as well, since the standard is
# enforced on pods alone. A warning is a fault.
applied() {
    restricted "$2"
    "$python" scripts/chart/pods.py <"$3" >"$run/pods.yaml"
    if ! api apply --namespace "$2" --server-side --force-conflicts --dry-run=server --validate=strict \
        -f "$3" -f "$run/pods.yaml" >"$run/applied.log" 2>&1 || grep -q '^Warning' "$run/applied.log"; then
        echo "check-chart-server: $1:" >&2
        grep -v '(server dry run)$' "$run/applied.log" >&2
        return 1
    fi
    echo "$1: $(grep -c '(server dry run)$' "$run/applied.log") objects accepted"
}

lifecycle() {
    restricted life
    set -- --kubeconfig "$run/kubeconfig" --namespace life
    "$helm" install life helm/sluice "$@" -f helm/sluice/ci/minimal-values.yaml >/dev/null
    "$helm" upgrade life helm/sluice "$@" -f helm/sluice/ci/full-values.yaml >/dev/null
    "$helm" upgrade life helm/sluice "$@" -f helm/sluice/ci/dev-values.yaml >/dev/null
    "$helm" rollback life 1 "$@" >/dev/null
    "$helm" history life "$@"
    "$helm" uninstall life "$@" >/dev/null
    left=$(api --namespace life get deployments,services,configmaps,networkpolicies,pdb,hpa,httproutes -o name |
        grep -v configmap/kube-root-ca.crt || true)
    [ -z "$left" ] || {
        echo "check-chart-server: uninstalling left $left" >&2
        return 1
    }
}

scripts/check-chart.sh >/dev/null || {
    echo "check-chart-server: first \`make chart\`, which finds faults" >&2
    exit 1
}
kubernetes_parts kube-apiserver server
start
definitions
api version | grep Server
for manifest in target/chart/chart/*.yaml; do
    applied "$(basename "$manifest" .yaml)" sluice "$manifest"
done
for overlay in k8s/overlays/*; do
    namespace=$(sed -n 's/^namespace: //p' "$overlay/kustomization.yaml")
    applied "$overlay" "$namespace" "target/chart/k8s/$(basename "$overlay").yaml"
done
lifecycle
echo "check-chart-server: well"
