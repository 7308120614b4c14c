"""Holds that the schema of the configuration and the binary agree: config_documents.py <sluice> <rendered>..

The schema is that of docs/config.schema.json. Defaults, and each sluice.toml that the chart renders, must be valid; for every key
its bounds and words must be taken by both, and what lies outside by neither. Rules between keys are no schema's matter.
"""

import json
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import yaml
from config_schema import ROOT, SCHEMA
from jsonschema import Draft202012Validator

DEFAULTS = ROOT / "crates/sluice-runtime/src/config"
# What both must refuse, beside what follows from the schema itself.
REFUSED = [
    "[kafka]\nbrokers = ['x']\n",
    "redis = 5\n",
    "[redis]\npol_size = 4\n",
    "[auth]\nanonymous = ['a']\n",
    "[topics]\nrules = [{ retention_events_max = 5 }]\n",
    "[topics]\nrules = [{ pattern = 'a', keep = 5 }]\n",
    "[topics]\nrules = 5\n",
    "[cors]\norigins = 5\n",
    "[telemetry]\nresource_attributes = ['a']\n",
]


def leaves(schema, path=()):
    for name, inner in schema["properties"].items():
        if "properties" in inner:
            yield from leaves(inner, (*path, name))
        else:
            yield (*path, name), inner


def probes(schema):
    """Values of a key, and whether they are right."""
    if "enum" in schema:
        yield from ((word, True) for word in schema["enum"])
        yield "no such word", False
    elif schema["type"] == "boolean":
        yield from [(True, True), (False, True), (2, False)]
    elif "minimum" in schema:
        yield from [(schema["minimum"], True), (schema["maximum"], True), (schema["maximum"] + 1, False), ([], False)]
        if schema["minimum"]:
            yield schema["minimum"] - 1, False
    if "pattern" in schema:
        yield from [(f"{schema['minimum']}B", True), ("1 mib", False), ("-1", False)]


def toml(path, value):
    *sections, key = path
    return f"[{'.'.join(sections)}]\n{key} = {json.dumps(value)}\n"


def refusal(sluice, text):
    """What the binary has against a file: nothing is said of rules between keys."""
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(text)
        file.flush()
        run = subprocess.run([sluice, "config", "--skip-files", "--config", file.name], capture_output=True, text=True, env={})
    return run.stderr if run.returncode else ""


def disagreements(sluice, schema, validator):
    for text in REFUSED:
        if validator.is_valid(tomllib.loads(text)) or not refusal(sluice, text):
            yield f"not refused by both:\n{text}"
    for path, inner in leaves(schema):
        for value, right in probes(inner):
            text = toml(path, value)
            if validator.is_valid(tomllib.loads(text)) != right:
                yield f"the schema should {'take' if right else 'refuse'}:\n{text}"
            said = refusal(sluice, text)
            by_itself = re.search(r"must be (a |true|\")", said) is not None
            if right == by_itself or not (right or said):
                yield f"the binary should {'take' if right else 'refuse'}:\n{text}{said}"


def documents(rendered):
    for path in ("defaults.toml", "dev.toml"):
        yield path, (DEFAULTS / path).read_text()
    for path in rendered:
        for resource in yaml.safe_load_all(Path(path).read_text()):
            if resource and "sluice.toml" in resource.get("data", {}):
                yield f"{Path(path).name}: {resource['metadata']['name']}", resource["data"]["sluice.toml"]


def main():
    sluice, rendered = sys.argv[1], sys.argv[2:]
    schema = json.loads(SCHEMA.read_text())
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    given = subprocess.run([sluice, "config", "--schema"], check=True, capture_output=True, text=True).stdout
    faults = [] if json.loads(given) == schema else [f"`sluice config --schema` differs from {SCHEMA.relative_to(ROOT)}"]
    count = 0
    for name, text in documents(rendered):
        count += 1
        faults += [f"{name}: {error.json_path}: {error.message}" for error in validator.iter_errors(tomllib.loads(text))]
    faults += disagreements(sluice, schema, validator)
    if faults:
        sys.exit("\n".join(f"config_documents: {fault}" for fault in faults))
    print(f"config_documents: {count} configurations are valid; schema and binary agree on the bounds of "
          f"{len(list(leaves(schema)))} keys")


if __name__ == "__main__":
    main()
