"""Holds that every key of Sluice's configuration that the chart takes reaches the process unchanged: every_key.py <sluice>
<helm> <flags of helm template>..

Each key is given a value that is not its default, in the chart's values; what `sluice config` says of the rendered file must be
those values, and nothing else may differ from the defaults.
"""

import json
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import yaml
from config_schema import DEFAULTS, ROOT, SCHEMA, decided_elsewhere

# Values that keys take, where half or twice the default or another word would not do.
INSTEAD = {
    "auth.anonymous.subscribe": ["a/*", "b"],
    "auth.anonymous.publish": ["c"],
    "auth.jwt.algorithms": ["RS256"],
    "auth.jwt.jwks_url": "https://idp.example/jwks.json",
    "auth.jwt.key": "",
    "auth.jwt.key_file": "",
    "auth.jwt.secret_file": "",
    "auth.subject.subscribe": ["user/{sub}/**"],
    "auth.subject.publish": ["user/{sub}/out"],
    "cors.origins": ["https://a.example"],
    "listen.client_address": "forwarded",
    # Not with tls.cert_file, which is set beside it here.
    "listen.h2c": False,
    "listen.proxy_protocol": "optional",
    "listen.trusted_proxies": ["10.0.0.0/8"],
    "redis.read_from": "primary",
    "streams.shards": 3,
    "telemetry.log_level": "debug",
    "telemetry.otlp.endpoint": "http://collector:4317",
    "topics.rules": [{"pattern": "a/**", "retention_events_max": 5, "retention_age_max_s": 6, "idle_expiry_s": 7}],
}

def words_of(path):
    schema = json.loads(SCHEMA.read_text())
    for name in path.split("."):
        schema = schema["properties"][name]
    return schema.get("enum")


def another(path, default):
    if path in INSTEAD:
        return INSTEAD[path]
    if words := words_of(path):
        return next((word for word in words if word != default), default)
    match default:
        case bool():
            return not default
        case int():
            return default // 2 if default > 1 else 1
        case float():
            return 0.25
        case str():
            return f"{default or 'some'}-else"
        case list():
            return ["some"]
        case _:
            return {"some.name": "value"}


def leaves(tree, path=""):
    for key, value in tree.items():
        name = f"{path}.{key}".lstrip(".")
        if decided_elsewhere(name):
            continue
        if isinstance(value, dict) and value:
            yield from leaves(value, name)
        else:
            yield name, value


def nested(pairs):
    tree = {}
    for path, value in pairs:
        *sections, key = path.split(".")
        node = tree
        for section in sections:
            node = node.setdefault(section, {})
        node[key] = value
    return tree


def effective(sluice, helm, config, scratch):
    values = Path(scratch) / "values.yaml"
    values.write_text(json.dumps({"redis": {"url": "redis://redis:6379"}, "config": config}))
    rendered = subprocess.run([*helm[:1], "template", "sluice", str(ROOT / "helm/sluice"), "-f", str(values), *helm[1:]],
                              stdout=subprocess.PIPE, check=True, text=True).stdout
    [toml] = [resource["data"]["sluice.toml"] for resource in yaml.safe_load_all(rendered)
              if resource and "sluice.toml" in resource.get("data", {})]
    file = Path(scratch) / "sluice.toml"
    file.write_text(toml)
    run = subprocess.run([sluice, "config", "gateway", "--skip-files", "--config", str(file)], capture_output=True, text=True, env={})
    if run.returncode:
        sys.exit(f"every_key: {run.stderr.strip()}\nWhere a key takes no such value, INSTEAD in {Path(__file__).name} says another.")
    return dict(leaves(tomllib.loads(run.stdout)))


def main():
    sluice, helm = sys.argv[1], sys.argv[2:]
    wanted = {path: another(path, default) for path, default in leaves(tomllib.loads(DEFAULTS.read_text()))}
    with tempfile.TemporaryDirectory() as scratch:
        got = effective(sluice, helm, nested(wanted.items()), scratch)
    flat = dict(leaves(wanted))
    faults = [f"{path} is {got.get(path)!r}, but the values say {value!r}"
              for path, value in flat.items() if got.get(path) != value]
    faults += [f"{path} is there, but no value says so" for path in got.keys() - flat.keys()]
    if faults:
        sys.exit("\n".join(f"every_key: {fault}" for fault in faults))
    print(f"every_key: {len(wanted)} keys reach the process as the values say")


if __name__ == "__main__":
    main()
