"""Keeps the part of the chart's values.schema.json that describes `config` equal to Sluice's own list of keys.

The keys, their types and their comments are read from the binary's defaults.toml, less those that the chart decides
itself and those that are secret. Without arguments it only compares; with --write it writes.
"""

import json
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DEFAULTS = ROOT / "crates/sluice-runtime/src/config/defaults.toml"
SCHEMA = ROOT / "helm/sluice/values.schema.json"

# What the chart decides: values of its own, or Secrets, set these.
OWNED = {
    "listen.addr",
    "publisher.addr",
    "ops.addr",
    "redis.url",
    "redis.username",
    "redis.tls",
    "redis.sentinel",
    "auth.api_keys",
    "auth.issuers",
    "streams.pin_cpus",
    "telemetry.otlp.headers",
}
SECRET = re.compile(r"(^|_)(password|secret)$")

# What a default value does not tell of its key.
ONLY = {
    "streams.on_lag": ["catch-up", "disconnect"],
    "telemetry.log_format": ["text", "json"],
    "telemetry.otlp.protocol": ["grpc", "http"],
}
COUNT = {"type": "integer", "minimum": 0}
RULES = {
    "topics.rules": {
        "type": "object",
        "additionalProperties": False,
        "required": ["pattern"],
        "properties": {
            "pattern": {"type": "string", "minLength": 1},
            "retention_events_max": COUNT,
            "retention_age_max_s": COUNT,
            "idle_expiry_s": COUNT,
        },
    }
}
SIZE = {"type": ["integer", "string"], "minimum": 0, "pattern": "^[0-9]+ ?(B|KiB|MiB|GiB)?$"}


def decided_elsewhere(path):
    return path in OWNED or SECRET.search(path.rsplit(".", 1)[-1]) is not None


def schema_of(path, default):
    if path in ONLY:
        return {"type": "string", "enum": ONLY[path]}
    match default:
        case bool():
            return {"type": "boolean"}
        case int():
            return SIZE if "bytes" in path.rsplit(".", 1)[-1].split("_") else COUNT
        case float():
            return {"type": "number", "minimum": 0}
        case str():
            return {"type": "string"}
        case list():
            return {"type": "array", "items": RULES.get(path, {"type": "string"})}
        case dict() if not default:
            return {"type": "object", "additionalProperties": {"type": "string"}}
        case dict():
            keys = {key: schema_of(f"{path}.{key}".lstrip("."), value) for key, value in default.items()
                    if not decided_elsewhere(f"{path}.{key}".lstrip("."))}
            return {"type": "object", "additionalProperties": False, "properties": keys}
        case _:
            sys.exit(f"config_schema: {path} has a default of a kind that is not known here: {default!r}")


def comments(text):
    """The comment above each key, by its path."""
    section, block, found = "", [], {}
    for line in text.splitlines():
        if header := re.match(r"\[([\w.]+)\]", line):
            section, block = header[1], []
        elif line.startswith("# "):
            block.append(line[2:])
        elif key := re.match(r"([\w.]+) *=", line):
            if block:
                found[f"{section}.{key[1]}"] = " ".join(block)
            block = []
        else:
            block = []
    return found


def describe(schema, path, texts):
    if text := texts.get(path):
        schema = {"description": text, **schema}
    if "properties" in schema:
        inner = {key: describe(value, f"{path}.{key}".lstrip("."), texts) for key, value in schema["properties"].items()}
        schema = {**schema, "properties": inner}
    return schema


def main():
    text = DEFAULTS.read_text()
    config = describe(schema_of("", tomllib.loads(text)), "", comments(text))
    config["description"] = "Sluice's configuration, but for what the chart decides and what is secret"
    schema = json.loads(SCHEMA.read_text())
    wanted = {**schema, "definitions": {**schema["definitions"], "config": config}}
    if "--write" in sys.argv[1:]:
        SCHEMA.write_text(json.dumps(wanted, indent=2) + "\n")
    elif wanted != schema:
        sys.exit(f"config_schema: {SCHEMA.relative_to(ROOT)} does not have the keys of {DEFAULTS.relative_to(ROOT)}: "
                 "run `BLESS=1 make chart`, and see whether the chart should set any of the new keys itself")


if __name__ == "__main__":
    main()
