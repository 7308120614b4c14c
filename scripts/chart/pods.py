"""Writes, for the workloads on the standard input, the pods that their controllers would make of them."""

import sys

import yaml

pods = [
    {"apiVersion": "v1", "kind": "Pod",
     "metadata": {**resource["spec"]["template"]["metadata"], "name": f"{resource['metadata']['name']}-0"},
     "spec": {**resource["spec"]["template"]["spec"],
              "volumes": resource["spec"]["template"]["spec"].get("volumes", [])
              + [{"name": claim["metadata"]["name"], "persistentVolumeClaim": {"claimName": claim["metadata"]["name"]}}
                 for claim in resource["spec"].get("volumeClaimTemplates", [])]}}
    for resource in yaml.safe_load_all(sys.stdin)
    if resource and resource["kind"] in ("Deployment", "StatefulSet")
]
yaml.safe_dump_all(pods, sys.stdout)
