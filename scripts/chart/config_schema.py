"""Keeps the part of the chart's values.schema.json that describes `config` equal to Sluice's own schema.

That is docs/config.schema.json, which `sluice config --schema` prints, less the keys that the chart decides itself and
those that are secret. Without arguments it only compares; with --write it writes.
"""

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DEFAULTS = ROOT / "crates/sluice-runtime/src/config/defaults.toml"
SCHEMA = ROOT / "docs/config.schema.json"
VALUES = ROOT / "helm/sluice/values.schema.json"

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

def decided_elsewhere(path):
    return path in OWNED or SECRET.search(path.rsplit(".", 1)[-1]) is not None


def of_chart(schema, path=""):
    """Without what the chart has no use for: keys that are not its own to set, defaults (the binary's) and units."""
    schema = {key: value for key, value in schema.items() if key not in ("default", "writeOnly", "x-unit", "title", "$schema")}
    if "properties" in schema:
        named = ((f"{path}.{key}".lstrip("."), key, value) for key, value in schema["properties"].items())
        schema["properties"] = {key: of_chart(value, name) for name, key, value in named if not decided_elsewhere(name)}
    return schema


def main():
    config = of_chart(json.loads(SCHEMA.read_text()))
    config["description"] = "Sluice's configuration, but for what the chart decides and what is secret"
    schema = json.loads(VALUES.read_text())
    wanted = {**schema, "definitions": {**schema["definitions"], "config": config}}
    if "--write" in sys.argv[1:]:
        VALUES.write_text(json.dumps(wanted, indent=2) + "\n")
    elif wanted != schema:
        sys.exit(f"config_schema: {VALUES.relative_to(ROOT)} does not have the keys of {SCHEMA.relative_to(ROOT)}: "
                 "run `BLESS=1 make chart`, and see whether the chart should set any of the new keys itself")


if __name__ == "__main__":
    main()
