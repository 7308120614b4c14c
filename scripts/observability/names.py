"""Compares what alerts and dashboard ask for with docs/metrics.md, and the alerts with docs/runbook.md.

Every metric that they name is in the list, and every metric of the list is on the dashboard; every alert has its section in the
runbook, and every section its alert.
"""

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ALERTS = ROOT / "helm/sluice/files/alerts.yaml"
DASHBOARD = ROOT / "helm/sluice/files/dashboard.json"
RUNBOOK = "https://github.com/sluice-sse/sluice/blob/main/docs/runbook.md#"


def dashboard_queries():
    """(panel, expression) of every query, those of rows that are folded up included."""
    found, panels = [], list(json.loads(DASHBOARD.read_text())["panels"])
    while panels:
        panel = panels.pop(0)
        panels.extend(panel.get("panels", ()))
        found.extend((panel["title"], target["expr"]) for target in panel.get("targets", ()))
    return found


def variable_queries():
    variables = json.loads(DASHBOARD.read_text())["templating"]["list"]
    return [(variable["name"], variable["query"]["query"]) for variable in variables if variable["type"] == "query"]


def documented():
    """Name to kind of all that docs/metrics.md lists."""
    return dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE))


def metrics_in(text):
    return set(re.findall(r"\b(?:sluice|process)_\w+", text))


def listed_as(metric, kinds):
    """The name under which the list has a metric, or None: a histogram is asked for by its parts."""
    if metric in kinds:
        return metric if kinds[metric] != "histogram" else None
    whole = re.sub(r"_(bucket|sum|count)$", "", metric)
    return whole if kinds.get(whole) == "histogram" else None


def metric_faults():
    kinds, shown = documented(), set()
    # The file's comments and texts name nothing else that begins like a metric.
    sources = [("alerts.yaml", ALERTS.read_text())] + [
        (f"dashboard, {title}", expression) for title, expression in dashboard_queries() + variable_queries()
    ]
    for where, text in sources:
        for metric in sorted(metrics_in(text)):
            name = listed_as(metric, kinds)
            if name is None:
                yield f"{where}: {metric} is not in docs/metrics.md"
            elif where != "alerts.yaml":
                shown.add(name)
    for metric in sorted(set(kinds) - shown):
        yield f"dashboard: {metric} of docs/metrics.md is on no panel"


def runbook_faults():
    text = ALERTS.read_text()
    alerts = re.findall(r"- alert: (\w+)", text)
    sections = re.findall(r"^## (Sluice\w+)$", (ROOT / "docs/runbook.md").read_text(), re.MULTILINE)
    for name in sorted(set(alerts) ^ set(sections)):
        yield f"{name} is {'an alert without a section' if name in alerts else 'a section without an alert'} of docs/runbook.md"
    tested = (ROOT / "helm/sluice/tests/alerts_test.yaml").read_text()
    for rule in re.split(r"(?=- alert: )", text)[1:]:
        name = re.match(r"- alert: (\w+)", rule)[1]
        if f'"{RUNBOOK}{name.lower()}"' not in rule:
            yield f"{name}: its runbook_url is not {RUNBOOK}{name.lower()}"
        for field in ("for", "severity", "summary", "description"):
            if not re.search(rf"^ +{field}: \S", rule, re.MULTILINE):
                yield f"{name} has no {field}"
        if f'alertname="{name}"' not in tested:
            yield f"{name} is expected by no test of helm/sluice/tests/alerts_test.yaml"


def main():
    faults = list(metric_faults()) + list(runbook_faults())
    for fault in faults:
        print(f"names: {fault}", file=sys.stderr)
    if not faults:
        print(f"names: {len(documented())} metrics, {len(dashboard_queries())} queries and all alerts fit the documentation")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
