"""Runs every query of the dashboard, and every alert, against a Prometheus that scrapes a loaded node: live.py <sluice> <prometheus>.

The node is `sluice dev`: streams come, go and are refused, and events are published, until every query has had an answer. A query
that fails is a fault at once; one that is still empty at the deadline is a fault unless EMPTY_ALLOWED says why it may be. Everything
listens on loopback, lives in a temporary directory and ends with this.
"""

import contextlib
import itertools
import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from names import ALERTS, dashboard_queries, variable_queries

DEADLINE_S = 40
STREAMS_MAX = 8
# Panels whose series begin with their first event, and why this load does not bring it about.
EMPTY_ALLOWED = {
    "Gaps told to streams": "the series begins with the first gap that a trimmed or replaced log makes",
    "Reports of appends": "publish.lua makes them, and the embedded broker runs no script",
}
VARIABLES = {
    "$namespace": ".*",
    "$job": "sluice",
    "$instance": ".*",
    "$__rate_interval": "30s",
}


class Fault(Exception):
    pass


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def get_json(url):
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        return json.load(error)


@contextlib.contextmanager
def running(directory, name, command):
    log = directory / f"{name}.log"
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    try:
        yield process
    except Fault as fault:
        raise Fault(f"{fault}\n--- the end of {log.name}:\n{log.read_text()[-1500:]}") from fault
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def await_ready(process, url, deadline):
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise Fault(f"{process.args[0]} ended with {process.returncode} before it was ready")
        with contextlib.suppress(OSError):
            urllib.request.urlopen(url, timeout=2).close()
            return
        time.sleep(0.05)
    raise Fault(f"{url} was not ready in time")


class Load:
    """Clients of one node. `step` is one round: a stream goes, more come than the node takes, an event is published."""

    def __init__(self, port):
        self.port = port
        self.streams = []
        self.rounds = itertools.count()

    def open_stream(self):
        stream = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        lines = ["GET /v1/events?topic=orders HTTP/1.1", "Host: node", "Accept: text/event-stream", "", ""]
        stream.sendall("\r\n".join(lines).encode())
        self.streams.append(stream)

    def publish(self, text):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/v1/topics/orders/events", data=text.encode(), headers={"content-type": "text/plain"}
        )
        urllib.request.urlopen(request, timeout=10).close()

    def step(self):
        for stream in self.streams[STREAMS_MAX // 2 :]:
            stream.close()
        del self.streams[STREAMS_MAX // 2 :]
        while len(self.streams) < STREAMS_MAX + 2:
            self.open_stream()
        self.publish(f"event {next(self.rounds)}")

    def close(self):
        for stream in self.streams:
            stream.close()


def wanted_queries():
    """(where, PromQL) of all that has to answer, the dashboard's variables filled in as Grafana would."""
    found = list(dashboard_queries())
    for name, query in variable_queries():
        metric, label = query.removeprefix("label_values(").removesuffix(")").rsplit(", ", 1)
        # What is outside of Kubernetes has no namespace; the series must be there all the same.
        found.append((f"variable {name}", f"count by ({label}) ({metric})"))
    for where, expression in found:
        for variable, value in VARIABLES.items():
            expression = expression.replace(variable, value)
        if "$" in expression:
            raise Fault(f"{where}: a variable that this check does not know in {expression}")
        yield where, expression


def is_answered(prometheus, where, expression):
    answer = get_json(f"{prometheus}/api/v1/query?" + urllib.parse.urlencode({"query": expression}))
    if answer["status"] != "success":
        raise Fault(f"{where}: {answer.get('error', answer)}\n  {expression}")
    return bool(answer["data"]["result"])


def check_queries(prometheus, load, deadline):
    wanted = list(wanted_queries())
    pending = wanted
    while True:
        load.step()
        pending = [query for query in pending if not is_answered(prometheus, *query)]
        if not [where for where, _ in pending if where not in EMPTY_ALLOWED]:
            break
        if time.monotonic() > deadline:
            lines = [f"{where}: no series\n  {text}" for where, text in pending if where not in EMPTY_ALLOWED]
            raise Fault("\n".join(lines))
        time.sleep(0.2)
    print(f"live: {len(wanted)} queries of the dashboard succeed, {len(wanted) - len(pending)} of them with series")
    for where, _ in pending:
        print(f"live: {where} is empty, as it may be: {EMPTY_ALLOWED[where]}")


def check_alerts(prometheus, load, deadline):
    """Every alert is evaluated without an error against what a node really exports, and none fires for a node that is well."""
    while time.monotonic() < deadline:
        load.step()
        groups = get_json(f"{prometheus}/api/v1/rules")["data"]["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        if rules and all(rule["health"] != "unknown" for rule in rules):
            break
    else:
        raise Fault("the alerts were not evaluated in time")
    for rule in rules:
        if rule["health"] != "ok":
            raise Fault(f"{rule['name']}: {rule.get('lastError')}")
        if rule["state"] == "firing":
            raise Fault(f"{rule['name']} fires for a node that is well")
    print(f"live: {len(rules)} alerts are evaluated, and none fires")


def prometheus_config(target):
    return f"""
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [{json.dumps(str(ALERTS))}]
scrape_configs:
  - job_name: sluice
    static_configs: [{{targets: ["{target}"]}}]
"""


def check(sluice, prometheus, directory):
    deadline = time.monotonic() + DEADLINE_S
    public, ops, port = free_port(), free_port(), free_port()
    settings = [
        f"listen.addr=127.0.0.1:{public}",
        f"ops.addr=127.0.0.1:{ops}",
        f"limits.streams_max={STREAMS_MAX}",
        "streams.heartbeat_ms=1000",
    ]
    node = [sluice, "dev", *(part for setting in settings for part in ("--set", setting))]
    config = directory / "prometheus.yml"
    config.write_text(prometheus_config(f"127.0.0.1:{ops}"))
    scraper = [
        prometheus,
        f"--config.file={config}",
        f"--storage.tsdb.path={directory / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with running(directory, "sluice", node) as process:
        await_ready(process, f"http://127.0.0.1:{ops}/readyz", deadline)
        with running(directory, "prometheus", scraper) as process, contextlib.closing(Load(public)) as load:
            url = f"http://127.0.0.1:{port}"
            await_ready(process, f"{url}/-/ready", deadline)
            check_queries(url, load, deadline)
            check_alerts(url, load, deadline)


def main():
    # So that what runs is ended too when this is told to end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sluice, prometheus = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="sluice-observability-") as directory:
        try:
            check(sluice, prometheus, Path(directory))
        except Fault as fault:
            print(f"live: {fault}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
