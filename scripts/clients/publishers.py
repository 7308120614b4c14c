"""The programs of docs/publishing.md that publish through Redis: run twice each, they must publish their event once."""

import os
import subprocess

import snippets
import toolchains
from stage import SCRIPT, Stage


def run(sluice, page, report):
    """Each on a topic of its own."""
    stage = Stage(sluice)
    try:
        for snippet in snippets.of(page):
            one(stage, snippet, report)
    finally:
        stage.stop()


def one(stage, snippet, report):
    name = snippet.language
    topic = f"orders-{name}"
    port = '"127.0.0.1", 6379' if name == "java" else "127.0.0.1:6379"
    replaced = {port: port.replace("6379", str(stage.redis_port)), "{orders}": f"{{{topic}}}"}
    try:
        toolchains.lay(snippet, "publisher", SCRIPT)
        command, folder = toolchains.ready(snippet.at(replaced), "publisher")
    except toolchains.Missing as why:
        return report.skipped(name, why)
    except toolchains.Broken as why:
        return report.failed(name, why)
    printed = []
    for _ in range(2):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, env=os.environ)
        if done.returncode:
            return report.failed(name, (done.stderr or done.stdout).strip()[-2000:])
        printed.append(done.stdout.split()[0])
    events = stage.history(topic)
    found = [(event["id"], event["type"], event["data"]) for event in events]
    if found == [(printed[0], "order.created", '{"id":1}')] and printed[0] == printed[1]:
        return report.passed(name, f"published {printed[0]} once in two runs")
    return report.failed(name, f"printed {printed}, the log has {found}")
