"""Writes what the chart renders as kustomize's base and components: plain.py [--check] <rendering> <rendering with Redis and
autoscalers>. scripts/render-k8s.sh says why there are two.
"""

import sys
from pathlib import Path

import yaml

K8S = Path(__file__).resolve().parents[2] / "k8s"
HEADER = "# Generated from helm/sluice by scripts/render-k8s.sh; change the chart or k8s/values.yaml instead.\n"
# What is Helm's business.
HELMS = {"helm.sh/chart", "app.kubernetes.io/managed-by"}
CONFIG = "sluice.toml"


def plain(resource):
    """`resource` without what only Helm reads, and without a namespace: kustomize sets it."""
    metadata = resource["metadata"]
    metadata.pop("namespace", None)
    metadata["labels"] = {key: value for key, value in metadata["labels"].items() if key not in HELMS}
    if template := resource.get("spec", {}).get("template"):
        # kustomize names a ConfigMap after its content instead.
        template["metadata"].get("annotations", {}).pop("checksum/config", None)
        if not template["metadata"].get("annotations", True):
            del template["metadata"]["annotations"]
    return resource


def component(resource):
    """The component that a resource is part of; None for the base."""
    return {
        "HorizontalPodAutoscaler": "autoscaling",
        "HTTPRoute": "gateway-api",
        "PrometheusRule": "monitoring",
        "ServiceMonitor": "monitoring",
    }.get(resource["kind"])


def is_redis(resource):
    return resource["metadata"]["labels"].get("app.kubernetes.io/component") == "redis"


def load(path):
    resources = [plain(resource) for resource in yaml.safe_load_all(Path(path).read_text()) if resource]
    return [resource for resource in resources if "helm.sh/hook" not in resource["metadata"].get("annotations", {})]


def kustomization(kind, **more):
    version = "v1alpha1" if kind == "Component" else "v1beta1"
    return {"apiVersion": f"kustomize.config.k8s.io/{version}", "kind": kind, "resources": ["resources.yaml"], **more}


def files(outside, inside):
    """Every generated file: its path below k8s/ and its text."""
    text = {}

    def add(folder, kind, resources, **more):
        resources.sort(key=lambda resource: (resource["kind"], resource["metadata"]["name"]))
        text[f"{folder}/resources.yaml"] = HEADER + yaml.safe_dump_all(resources, sort_keys=False, width=110)
        text[f"{folder}/kustomization.yaml"] = HEADER + yaml.safe_dump(kustomization(kind, **more), sort_keys=False)

    config = [resource for resource in outside if CONFIG in resource.get("data", {})]
    base = [resource for resource in outside if component(resource) is None and resource not in config]
    [config] = config
    text[f"base/{CONFIG}"] = HEADER + config["data"][CONFIG]
    add("base", "Kustomization", base,
        configMapGenerator=[{"name": config["metadata"]["name"], "files": [CONFIG]}])
    for name in ("gateway-api", "monitoring"):
        add(f"components/{name}", "Component", [resource for resource in outside if component(resource) == name])
    add("components/autoscaling", "Component", [resource for resource in inside if component(resource) == "autoscaling"])
    add("components/redis", "Component", [resource for resource in inside if is_redis(resource)])
    return text


def main():
    check, paths = "--check" in sys.argv[1:], [path for path in sys.argv[1:] if path != "--check"]
    wanted = files(*map(load, paths))
    there = {str(path.relative_to(K8S)) for folder in ("base", "components") for path in (K8S / folder).rglob("*.*")}
    wrong = [path for path, text in wanted.items() if path not in there or (K8S / path).read_text() != text]
    stray = sorted(there - wanted.keys())
    if check:
        if wrong or stray:
            sys.exit(f"render-k8s: k8s/ is not what the chart renders: {', '.join(wrong + stray)}: run `BLESS=1 make chart`")
        print(f"render-k8s: {len(wanted)} files of k8s/ are what the chart renders")
        return
    for path, text in wanted.items():
        (K8S / path).parent.mkdir(parents=True, exist_ok=True)
        (K8S / path).write_text(text)
    for path in stray:
        (K8S / path).unlink()


if __name__ == "__main__":
    main()
