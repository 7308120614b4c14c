"""Holds that values.schema.json is closed: an object either lists its keys and refuses all others, or is a map whose
values have a type, or is one of the few that the Kubernetes API checks itself. And that it knows exactly the values of
values.yaml.
"""

import json
import sys
from pathlib import Path

import yaml

CHART = Path(__file__).resolve().parents[2] / "helm/sluice"
# Objects that are handed on as they are.
OPEN = {"#/definitions/kubernetes", "#/properties/global"}
# Values that need not have every key of their schema.
PARTIAL = {"config", "canary.config", "resources", "requests", "limits"}


def objects(schema, at):
    if isinstance(schema, dict):
        if schema.get("type") == "object":
            yield at, schema
        for key, value in schema.items():
            yield from objects(value, f"{at}/{key}")
    elif isinstance(schema, list):
        for index, value in enumerate(schema):
            yield from objects(value, f"{at}/{index}")


def missing(schema, values, definitions, path):
    """Keys of the schema that values.yaml does not show."""
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rsplit("/", 1)[1]]
    for key, inner in schema.get("properties", {}).items():
        name = f"{path}.{key}".lstrip(".")
        if name == "global" or name in PARTIAL or path.rsplit(".", 1)[-1] in PARTIAL:
            continue
        if not isinstance(values, dict) or key not in values:
            yield name
        else:
            yield from missing(inner, values[key], definitions, name)


def main():
    schema = json.loads((CHART / "values.schema.json").read_text())
    faults = [f"{at} lets in any key" for at, inner in objects(schema, "#")
              if at not in OPEN and not (inner.get("additionalProperties") is False
                                         or isinstance(inner.get("additionalProperties"), dict))]
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    faults += [f"values.yaml lacks {name}" for name in missing(schema, values, schema["definitions"], "")]
    if faults:
        sys.exit("\n".join(f"schema_closed: {fault}" for fault in faults))


if __name__ == "__main__":
    main()
