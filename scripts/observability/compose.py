"""Holds what docker-compose.yml starts for profile `observability` together, without its images: every file that is mounted is there and can be
read as what it is, and every address in it is a service and a port of the compose file."""

import json
import re
import sys
from pathlib import Path

try:
    import yaml
except ImportError:
    print("compose.py: SKIPPED, for want of PyYAML")
    sys.exit(0)

FILE = Path("docker-compose.yml")
PORTS = {"prometheus": {9090}, "grafana": {3000}, "collector": {4317, 4318}, "jaeger": {16686, 4317}, "gateway-a": {8080, 8082},
         "gateway-b": {8080, 8082}, "publisher": {8081, 8082}}
FIELDS = {"datasource": {"name", "type", "access", "url", "isDefault"}, "provider": {"name", "type", "options"}}
wrong = []


def expect(truth, what):
    if not truth:
        wrong.append(what)


def reachable(address, where):
    host, _, port = re.sub(r"^\w+://", "", address).partition(":")
    expect(host in PORTS and int(port) in PORTS[host], f"{where}: {address} is no service of {FILE}")


def mounted(services):
    """Every file on this side of a volume, by its place on the other."""
    found = {}
    for name, service in services.items():
        for volume in service.get("volumes", []):
            source, target, *_ = volume.split(":")
            if source.startswith("./"):
                expect(Path(source).is_file(), f"{name} mounts {source}, which is not there")
                found[target] = Path(source)
    return found


def main():
    services = yaml.safe_load(FILE.read_text())["services"]
    expect({"prometheus", "grafana", "collector", "jaeger"} <= set(services), "a service of profile observability is missing")
    files = mounted(services)
    read = lambda target: yaml.safe_load(files[target].read_text())

    prometheus = read("/etc/prometheus/prometheus.yml")
    expect(prometheus["rule_files"] == ["/etc/prometheus/rules/*.yaml"], "prometheus does not read the mounted rules")
    for job in prometheus["scrape_configs"]:
        for target in (t for group in job["static_configs"] for t in group["targets"]):
            reachable(target, "docker/prometheus.yml")

    for source in read("/etc/grafana/provisioning/datasources/sluice.yaml")["datasources"]:
        expect(set(source) <= FIELDS["datasource"], f"datasource {source['name']}: unknown fields")
        reachable(source["url"], "docker/grafana/datasource.yaml")
    for provider in read("/etc/grafana/provisioning/dashboards/sluice.yaml")["providers"]:
        expect(set(provider) <= FIELDS["provider"], f"provider {provider['name']}: unknown fields")
        path = provider["options"]["path"]
        expect(any(target.startswith(path + "/") for target in files), f"no dashboard is mounted at {path}")
    home = services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    expect(home in files and json.loads(files[home].read_text())["panels"], "the dashboard that Grafana opens with is not mounted")

    collector = read("/etc/collector.yaml")
    for name, pipeline in collector["service"]["pipelines"].items():
        for kind in ("receivers", "processors", "exporters"):
            for part in pipeline.get(kind, []):
                expect(part in collector[kind], f"docker/collector.yaml: pipeline {name} names {part}, which is not defined")
    reachable(collector["exporters"]["otlp"]["endpoint"], "docker/collector.yaml")
    for protocol in collector["receivers"]["otlp"]["protocols"].values():
        expect(int(protocol["endpoint"].rsplit(":", 1)[1]) in PORTS["collector"], "docker/collector.yaml: another port")

    for line in wrong:
        print(f"compose.py: {line}", file=sys.stderr)
    sys.exit(1 if wrong else 0)


main()
