"""Holds that the values in the documentation are values of the chart: examples.py <helm> <flags of helm template>..

A block of YAML whose first document has only keys of values.yaml is laid over a Redis address and rendered.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("docs/access.md", "docs/deployment.md", "helm/sluice/README.md")
REDIS = {"redis": {"url": "redis://redis:6379"}}


def examples():
    known = yaml.safe_load((ROOT / "helm/sluice/values.yaml").read_text()).keys()
    for page in PAGES:
        for block in re.findall(r"```yaml\n(.*?)```", (ROOT / page).read_text(), re.DOTALL):
            first = next(yaml.safe_load_all(block))
            if first.keys() <= known:
                yield page, block.strip().splitlines()[0], {**REDIS, **first}


def main():
    helm, count, faults = sys.argv[1:], 0, []
    for page, name, values in examples():
        count += 1
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            yaml.safe_dump(values, file)
            file.flush()
            run = subprocess.run([helm[0], "template", "example", str(ROOT / "helm/sluice"), "-f", file.name, *helm[1:]],
                                 capture_output=True, text=True)
        if run.returncode:
            faults.append(f"examples: {page}, the block that begins `{name}`: {run.stderr.strip()}")
    if faults or not count:
        sys.exit("\n".join(faults) or "examples: there are none")
    print(f"examples: {count} blocks of values in the documentation render")


if __name__ == "__main__":
    main()
