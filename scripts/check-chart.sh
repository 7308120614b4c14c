#!/bin/sh
# Checks the chart and the plain manifests: helm/sluice/README.md says with what. BLESS=1 writes what is generated and the
# renderings that are kept. What cannot be checked here is listed at the end as SKIPPED; CHART_STRICT=1 makes that a fault.
set -eu

cd "$(dirname "$0")/.."
. scripts/steps.sh
. scripts/chart/tools.sh
chart=helm/sluice
out=target/chart
sluice=${SLUICE:-target/debug/sluice}
# Unquoted where it is used: it is one flag or none.
write=${BLESS:+--write}

# render <case> <flag>..: lints and renders the chart with the flags of a case.
render() {
    case=$1
    shift
    "$helm" lint --strict --quiet --kube-version "$newest" "$chart" "$@" &&
        "$helm" template sluice "$chart" --namespace sluice --kube-version "$newest" "$@" >"$out/chart/$case.yaml"
}

validate() {
    for version in $KUBERNETES_VERSIONS; do
        # Of custom resources it knows no schema; they are checked by crds.py.
        "${python%/python}/kubernetes-validate" --strict --quiet --no-warn --kubernetes-version "$version" "$@" || return 1
        echo "validated $# renderings for Kubernetes $version"
    done
}

[ -n "$python" ] || {
    skip "all checks of the chart: they need Python 3.11 with venv, and PyPI for kubernetes-validate"
    finish check-chart "${CHART_STRICT:-}"
}
# Of the sources as they are, whatever was built before.
if [ -n "$write" ]; then ${CARGO:-cargo} run --quiet -p sluice -- config --schema >docs/config.schema.json; fi
step "$python" scripts/chart/config_schema.py $write
step "$python" scripts/chart/schema_closed.py
step "$python" scripts/chart/readme.py $write

if [ -z "$helm" ]; then
    skip "rendering, and all that is checked of it: there is no helm, and no Go to install it with"
    finish check-chart "${CHART_STRICT:-}"
fi
newest=$(echo "$KUBERNETES_VERSIONS" | sed 's/.* //').0
rm -rf "$out"
mkdir -p "$out/chart" "$out/k8s"
for values in "$chart"/ci/*-values.yaml; do
    step render "$(basename "$values" -values.yaml)" -f "$values"
done
for values in "$chart"/values-*.yaml; do
    step render "$(basename "$values" .yaml)" -f "$values" --set redis.url=redis://redis:6379
done
step "$python" scripts/chart/golden.py $write "$chart/tests/golden" "$out"/chart/*.yaml
step "$python" scripts/chart/refused.py "$helm" --kube-version "$newest"
step "$python" scripts/chart/examples.py "$helm" --kube-version "$newest"

if [ -n "$write" ]; then step scripts/render-k8s.sh; else step scripts/render-k8s.sh --check; fi
if [ -n "$kustomize" ]; then
    for overlay in k8s/base k8s/overlays/*; do
        step $kustomize "$overlay" >"$out/k8s/$(basename "$overlay").yaml"
    done
    step "$python" scripts/chart/golden.py $write k8s/golden "$out"/k8s/*.yaml
else
    skip "the kustomizations of k8s/: there is neither kustomize nor kubectl, and no Go to install it with"
fi

step validate "$out"/*/*.yaml
gateway_api=$(go_module "$GATEWAY_API")
prometheus_operator=$(go_module "$PROMETHEUS_OPERATOR")
if [ -n "$gateway_api" ] && [ -n "$prometheus_operator" ]; then
    step "$python" scripts/chart/crds.py "$out"/*/*.yaml -- \
        "$gateway_api/config/crd/standard/gateway.networking.k8s.io_httproutes.yaml" \
        "$prometheus_operator/example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml" \
        "$prometheus_operator/example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml"
else
    skip "HTTPRoute, ServiceMonitor and PrometheusRule: their CRDs come as Go modules, and there is no Go or no network"
fi
if [ ! -x "$sluice" ]; then
    skip "whether the binary takes the configuration: there is no $sluice (cargo build -p sluice)"
elif ! "$sluice" config --defaults | cmp -s - crates/sluice-runtime/src/config/defaults.toml; then
    skip "whether the binary takes the configuration: $sluice is of other sources (cargo build -p sluice)"
else
    step "$python" scripts/chart/config_documents.py "$sluice" "$out"/*/*.yaml
    step "$python" scripts/chart/accepted.py "$sluice" "$out"/*/*.yaml
    step "$python" scripts/chart/every_key.py "$sluice" "$helm" --kube-version "$newest"
fi
finish check-chart "${CHART_STRICT:-}"
