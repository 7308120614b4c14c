# Builds parts of Kubernetes and etcd from their Go modules, below target/, once. Read after tools.sh.

KUBERNETES=v1.34.2
kubernetes=$tools/kubernetes

# kubernetes_parts <name>..: builds those that are not there; etcd is `server`, as its module calls it. Says that the caller is
# skipped where the sources cannot be had.
kubernetes_parts() {
    mkdir -p "$kubernetes/bin"
    missing=
    for part in "$@"; do
        [ -x "$kubernetes/bin/$part" ] && continue
        case $part in
        server) missing="$missing go.etcd.io/etcd/server/v3" ;;
        *) missing="$missing k8s.io/kubernetes/cmd/$part" ;;
        esac
    done
    [ -n "$missing" ] || return 0
    sources=$(go_module "k8s.io/kubernetes@$KUBERNETES")
    [ -n "$sources" ] || {
        echo "$(basename "$0"): SKIPPED: Kubernetes' sources cannot be had as a Go module" >&2
        exit 0
    }
    # Kubernetes is not meant to be installed by `go install`: its parts are pinned to directories of its own repository. A module
    # that pins them to their published versions instead can build it.
    part=v0${KUBERNETES#v1}
    {
        printf 'module kubernetes\n\ngodebug default=go1.24\n\n'
        sed -n '/^go /p; /^require (/,/^)/p' "$sources/go.mod" | sed "s#\(k8s.io/[a-z-]*\) v0.0.0\$#\1 $part#"
        printf 'require k8s.io/kubernetes %s\nreplace (\n' "$KUBERNETES"
        sed -n "/^replace (/,/^)/s#^\t\(.*\) => .*#\t\1 => \1 $part#p" "$sources/go.mod"
        printf ')\n'
    } >"$kubernetes/go.mod"
    cp "$sources/go.sum" "$kubernetes/go.sum"
    chmod u+w "$kubernetes/go.sum"
    echo "building$missing ($KUBERNETES); this takes some minutes, once"
    version=k8s.io/component-base/version
    # shellcheck disable=SC2086 # words
    (cd "$kubernetes" && GOFLAGS=-mod=mod go build -o bin/ \
        -ldflags "-X $version.gitVersion=$KUBERNETES -X $version.gitMajor=1 -X $version.gitMinor=${part#v0.}" \
        $missing) >"$kubernetes/build.log" 2>&1 || {
        tail -n 5 "$kubernetes/build.log" >&2
        exit 1
    }
}
