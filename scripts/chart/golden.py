"""Compares rendered manifests with the ones that are kept: golden.py [--write] <directory of what is kept> <rendered>..

Alerts and dashboard are files of their own and change for reasons of their own: here they are only compared with those
files, and what is kept says so in their place.
"""

import difflib
import json
import sys
from pathlib import Path

import yaml

CHART = Path(__file__).resolve().parents[2] / "helm/sluice"


class Block(str):
    """Text that is shown as it is, line by line."""


yaml.SafeDumper.add_representer(Block, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|"))


def settled(resource):
    kind, faults = resource["kind"], []
    if kind == "PrometheusRule":
        if resource["spec"] != yaml.safe_load((CHART / "files/alerts.yaml").read_text()):
            faults.append("PrometheusRule is not files/alerts.yaml")
        resource["spec"] = "files/alerts.yaml"
    elif kind == "ConfigMap":
        if "sluice.json" in resource["data"]:
            if json.loads(resource["data"]["sluice.json"]) != json.loads((CHART / "files/dashboard.json").read_text()):
                faults.append("the dashboard's ConfigMap is not files/dashboard.json")
            resource["data"]["sluice.json"] = "files/dashboard.json"
        resource["data"] = {key: Block(text) for key, text in resource["data"].items()}
    return faults


def main():
    arguments = [argument for argument in sys.argv[1:] if argument != "--write"]
    write, kept, faults = "--write" in sys.argv[1:], Path(arguments[0]), []
    names = {Path(path).name for path in arguments[1:]}
    for path in map(Path, arguments[1:]):
        resources = [resource for resource in yaml.safe_load_all(path.read_text()) if resource]
        resources.sort(key=lambda resource: (resource["kind"], resource["metadata"]["name"]))
        for resource in resources:
            faults += [f"{path.name}: {fault}" for fault in settled(resource)]
        text = yaml.safe_dump_all(resources, sort_keys=False, width=110)
        if write:
            kept.mkdir(parents=True, exist_ok=True)
            (kept / path.name).write_text(text)
        elif not (kept / path.name).exists():
            faults.append(f"{path.name} is not kept in {kept}")
        elif (before := (kept / path.name).read_text()) != text:
            lines = difflib.unified_diff(before.splitlines(), text.splitlines(), "kept", "rendered", lineterm="", n=2)
            faults.append(f"{path.name} is not what is kept:\n" + "\n".join(lines))
    for stray in sorted(file for file in kept.glob("*.yaml") if file.name not in names):
        if write:
            stray.unlink()
        else:
            faults.append(f"{stray.name} is kept, but nothing renders it")
    if faults:
        sys.exit("\n".join(f"golden: {fault}" for fault in faults) + "\nIf that is meant: BLESS=1 make chart")
    print(f"golden: {len(names)} renderings are the ones that are kept")


if __name__ == "__main__":
    main()
