"""Holds that values which make no sense are refused, and with which words: refused.py <helm> <flags of helm template>..

The table is helm/sluice/tests/refused.yaml. A case is laid over redis.url, so that it is refused for its own sake.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

CHART = Path(__file__).resolve().parents[2] / "helm/sluice"
GOOD = {"redis": {"url": "redis://redis:6379"}}


def render(helm, layers):
    with tempfile.TemporaryDirectory() as scratch:
        files = []
        for index, layer in enumerate(layers):
            path = Path(scratch) / f"{index}.yaml"
            path.write_text(yaml.safe_dump(layer))
            files += ["-f", str(path)]
        return subprocess.run([*helm, "template", "refused", str(CHART), *files], capture_output=True, text=True)


def main():
    helm, flags = sys.argv[1], sys.argv[2:]
    table = yaml.safe_load((CHART / "tests/refused.yaml").read_text())
    faults = []
    if (good := render([helm, *flags], [GOOD])).returncode:
        faults.append(f"what the cases are laid over is itself refused: {good.stderr}")
    for case in table:
        layers = [case["values"]] if case.get("bare") else [GOOD, case["values"]]
        run = render([helm, *flags], layers)
        if run.returncode == 0:
            faults.append(f"not refused: {case['values']}")
        elif case["says"] not in run.stderr:
            faults.append(f"refused in other words: {case['values']}\n  wanted: {case['says']}\n  got: {run.stderr.strip()}")
    if faults:
        sys.exit("\n".join(f"refused: {fault}" for fault in faults))
    print(f"refused: {len(table)} kinds of nonsense, each in the words that it deserves")


if __name__ == "__main__":
    main()
