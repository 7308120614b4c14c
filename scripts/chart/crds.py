"""Validates custom resources against the CRDs that define them: crds.py <manifest>.. -- <CRD>..

What is validated is the structure, strictly: a key that a CRD does not know is a fault. Rules written in CEL are for an
API server (make chart-server).
"""

import sys

import jsonschema
import yaml


def strict(schema):
    """`schema` with every object closed that does not say it is open."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: strict(value) for key, value in schema.items()}
    closed = isinstance(schema.get("properties"), dict) and "additionalProperties" not in schema
    if closed and schema.get("type") == "object" and not schema.get("x-kubernetes-preserve-unknown-fields"):
        schema["additionalProperties"] = False
    return schema


def kinds(paths):
    known = {}
    for path in paths:
        with open(path) as file:
            for crd in filter(None, yaml.safe_load_all(file)):
                spec = crd["spec"]
                for version in spec["versions"]:
                    schema = strict(version["schema"]["openAPIV3Schema"])
                    schema["properties"]["metadata"] = {"type": "object"}
                    known[f"{spec['group']}/{version['name']}", spec["names"]["kind"]] = schema
    return known


def main():
    split = sys.argv.index("--")
    known, faults, seen = kinds(sys.argv[split + 1:]), [], set()
    for path in sys.argv[1:split]:
        with open(path) as file:
            for resource in filter(None, yaml.safe_load_all(file)):
                kind = resource["apiVersion"], resource["kind"]
                if kind not in known:
                    continue
                seen.add(kind[1])
                for error in jsonschema.Draft202012Validator(known[kind]).iter_errors(resource):
                    faults.append(f"crds: {path}: {kind[1]} at {error.json_path}: {error.message}")
    unseen = {kind for _, kind in known} - seen
    faults += [f"crds: no case renders a {kind}, so that it was not checked" for kind in sorted(unseen)]
    if faults:
        sys.exit("\n".join(faults))
    print(f"crds: {', '.join(sorted(seen))} are what their CRDs want")


if __name__ == "__main__":
    main()
