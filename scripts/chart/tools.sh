# Read by the scripts that work on the chart: finds their tools, or installs them below target/, or says what is missing.
# Sets helm, kustomize and python; each is empty if it cannot be had.

HELM_VERSION=v3.19.5
KUSTOMIZE_VERSION=v5.8.1
GATEWAY_API=sigs.k8s.io/gateway-api@v1.4.1
PROMETHEUS_OPERATOR=github.com/prometheus-operator/prometheus-operator@v0.85.0
KUBERNETES_VALIDATE=1.36.0
# The oldest that the chart is for, and the newest that is checked.
KUBERNETES_VERSIONS="1.30 1.36"

tools=$PWD/target/chart-tools
mkdir -p "$tools/bin"
# One script reads another; what Python compiles of it does not belong among the sources.
export PYTHONDONTWRITEBYTECODE=1

has() {
    command -v "$1" >/dev/null 2>&1
}

# go_tool <name> <package@version>: its path, installed with Go where it is not here.
go_tool() {
    if has "$1"; then
        command -v "$1"
    elif [ -x "$tools/bin/$1" ]; then
        echo "$tools/bin/$1"
    elif has go; then
        echo "installing $2" >&2
        GOBIN=$tools/bin go install "$2" >"$tools/$1.log" 2>&1 || {
            tail -n 3 "$tools/$1.log" >&2
            return 0
        }
        echo "$tools/bin/$1"
    fi
}

# go_module <module@version>: where its files are, or nothing.
go_module() {
    has go || return 0
    (cd "$tools" && go mod download -json "$1" 2>/dev/null) | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p'
}

# A Python with the validator, which brings YAML and JSON schemas along.
chart_python() {
    if ! "$tools/venv/bin/python" -c 'import kubernetes_validate' >/dev/null 2>&1; then
        has python3 || return 0
        {
            rm -rf "$tools/venv"
            python3 -c 'import tomllib' &&
                python3 -m venv "$tools/venv" &&
                "$tools/venv/bin/pip" install --quiet "kubernetes-validate==$KUBERNETES_VALIDATE" pyyaml jsonschema
        } >"$tools/python.log" 2>&1 || {
            tail -n 3 "$tools/python.log" >&2
            return 0
        }
    fi
    echo "$tools/venv/bin/python"
}

helm=$(go_tool helm "helm.sh/helm/v3/cmd/helm@$HELM_VERSION")
kustomize=$(go_tool kustomize "sigs.k8s.io/kustomize/kustomize/v5@$KUSTOMIZE_VERSION")
if [ -z "$kustomize" ] && has kubectl; then
    kustomize="kubectl kustomize"
elif [ -n "$kustomize" ]; then
    kustomize="$kustomize build"
fi
python=$(chart_python)
