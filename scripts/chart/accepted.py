"""Holds that the binary takes every configuration that the chart renders: accepted.py <sluice> <rendered>..

Each container that runs Sluice is imitated as far as its configuration goes: the role of its arguments, the file of its
ConfigMap, its variables (those from Secrets with a stand-in). Ports and addresses must be what the pod says they are.
"""

import os
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import yaml

# What a Secret might hold.
STAND_IN = {
    "SLUICE_REDIS__URL": "redis://user:stand-in@redis:6379",
    "SLUICE_TELEMETRY__OTLP__HEADERS": "authorization=stand-in",
}


# What must be left when everything takes as long as it may: the kubelet and the kernel need some of it.
MARGIN_S = 2


def variables(container):
    for variable in container.get("env", []):
        secret = variable.get("valueFrom", {}).get("secretKeyRef")
        yield variable["name"], STAND_IN.get(variable["name"], "stand-in") if secret else variable["value"]


def asked(sluice, role, toml, env):
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(toml)
        file.flush()
        return subprocess.run([sluice, "config", role, "--skip-files", "--config", file.name], capture_output=True, text=True,
                              env={"PATH": os.environ["PATH"], **env})


def faults_of(sluice, pod, files):
    mounted = {volume["name"]: files.get(volume["configMap"]["name"])
               for volume in pod["volumes"] if "configMap" in volume}
    container = pod["containers"][0]
    role, toml, env = container["args"][0], mounted["config"], dict(variables(container))
    if not toml:
        return ["its ConfigMap is not there, or empty"]
    run = asked(sluice, role, toml, env)
    if run.returncode:
        return [f"{role}: {run.stderr.strip()}"]
    effective = tomllib.loads(run.stdout)
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    listeners = {"http": "listen" if role == "gateway" else "publisher", "ops": "ops"}
    faults = [f"{role} listens on {effective[section]['addr']}, but the port {name} is {ports[name]}"
              for name, section in listeners.items() if not effective[section]["addr"].endswith(f":{ports[name]}")]
    if "127.0.0.1" in effective["redis"]["url"]:
        faults.append(f"{role} is left with the default address of Redis")
    drain = effective["drain"]
    takes = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0) + drain["delay_ms"] / 1000
    takes += constant("FINISH", "crates/sluice/src/node/ending.rs")
    if role == "gateway":
        takes += drain["window_ms"] / 1000 + constant("GRACE", "crates/sluice-gateway/src/drain.rs")
    grace = pod["terminationGracePeriodSeconds"]
    if takes + MARGIN_S > grace:
        faults.append(f"{role} takes {takes} s to leave, and is killed after {grace}: the margin is below {MARGIN_S} s")
    return faults


def constant(name, path):
    """How many seconds a constant of the sources says: what the binary allows itself."""
    sources = (Path(__file__).resolve().parents[2] / path).read_text()
    found = re.findall(rf"const {name}: Duration = Duration::from_secs\((\d+)\)", sources)
    if len(found) != 1:
        sys.exit(f"accepted: expected one `const {name}: Duration = Duration::from_secs(..)` in {path}, found {len(found)}: "
                 "the chart's grace period is computed from it (templates/_leaving.tpl)")
    return int(found[0])


def main():
    sluice, faults, pods = sys.argv[1], [], 0
    for path in sys.argv[2:]:
        resources = [resource for resource in yaml.safe_load_all(Path(path).read_text()) if resource]
        files = {resource["metadata"]["name"]: resource["data"].get("sluice.toml", "")
                 for resource in resources if resource["kind"] == "ConfigMap"}
        for resource in resources:
            if resource["kind"] == "Deployment":
                pods += 1
                name = f"{Path(path).name}: {resource['metadata']['name']}"
                pod = resource["spec"]["template"]["spec"]
                faults += [f"{name}: {fault}" for fault in faults_of(sluice, pod, files)]
    if faults or not pods:
        sys.exit("\n".join(f"accepted: {fault}" for fault in faults) or "accepted: there is nothing to ask")
    print(f"accepted: the binary takes the configuration of {pods} Deployments, and can leave within their grace periods")


if __name__ == "__main__":
    main()
