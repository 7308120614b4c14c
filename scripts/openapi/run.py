"""Holds that running processes answer as docs/openapi.yaml says: run.py <sluice> <schemathesis>

Schemathesis makes requests from the document, right ones and wrong ones, the same in every run (a fixed seed), and holds each answer
against it. It asks `sluice dev`, and a gateway and a publisher on a redis-server of their own. A stream does not end by itself, so
these nodes end theirs after a second (streams.max_age_s), as they would in production after hours. /v1/drain and revoking are left out: the first would
end the node that is asked; a test of the binary asks it. That what is wrong is refused is held by tests too, since the document's
patterns are narrower than what is read where that helps clients (`since`, cursors).
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CHECKS = ("status_code_conformance,content_type_conformance,response_headers_conformance,"
          "response_schema_conformance,positive_data_acceptance,unsupported_method,allow_header_conformance")
EXAMPLES = 20
SEED = 1
# For one run of schemathesis.
SECONDS_MAX = 90
SETTINGS = {"SLUICE_STREAMS__MAX_AGE_S": "1", "SLUICE_PUBLISHER__WAIT_REPLICAS_TIMEOUT_MS": "1",
            "SLUICE_AUTH__ANONYMOUS__SUBSCRIBE": "**", "SLUICE_AUTH__ANONYMOUS__PUBLISH": "**"}


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def wait(what, there, process):
    end = time.monotonic() + 30
    while not there():
        if process.poll() is not None or time.monotonic() > end:
            sys.exit(f"openapi: {what} did not start")
        time.sleep(0.05)


def ready(ops):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{ops}/readyz", timeout=1):
            return True
    except OSError:
        return False


class Processes:
    def __init__(self, sluice, scratch):
        self.sluice, self.scratch, self.started = sluice, Path(scratch), []

    def start(self, name, command, there, env=None):
        log = (self.scratch / f"{name}.log").open("w")
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.scratch, env={**os.environ, **(env or {})})
        self.started.append(process)
        wait(name, there, process)

    def node(self, role, redis=None):
        """The ports of its listener and of its operations."""
        listen, publisher, ops = free_ports(3)
        env = {**SETTINGS, "SLUICE_LISTEN__ADDR": f"127.0.0.1:{listen}", "SLUICE_PUBLISHER__ADDR": f"127.0.0.1:{publisher}",
               "SLUICE_OPS__ADDR": f"127.0.0.1:{ops}"}
        if redis:
            env["SLUICE_REDIS__URL"] = f"redis://127.0.0.1:{redis}"
        self.start(role, [self.sluice, role], lambda: ready(ops), env)
        return (publisher if role == "publisher" else listen), ops

    def redis(self):
        [port] = free_ports(1)
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self.start("redis", command, lambda: "Ready to accept" in (self.scratch / "redis.log").read_text())
        return port

    def stop(self):
        for process in reversed(self.started):
            process.kill()
            process.wait()


def ask(schemathesis, name, port, *which):
    """Nothing, or what is wrong. What `which` says of phases and checks comes last, and counts."""
    command = [schemathesis, "run", str(ROOT / "docs/openapi.yaml"), "--url", f"http://127.0.0.1:{port}", "--checks", CHECKS,
               "--phases", "examples,coverage,fuzzing", "--max-examples", str(EXAMPLES), "--seed", str(SEED), 
               "--generation-deterministic", "--request-timeout", "10", "--no-color",
               "--warnings", "off", "--continue-on-failure", "--exclude-operation-id", "beginDrain", "--exclude-operation-id", "revoke"]
    command += which
    env = {**os.environ, "SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(ROOT / "scripts/openapi"), "PYTHONDONTWRITEBYTECODE": "1"}
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        try:
            run = subprocess.run(command, capture_output=True, text=True, env=env, timeout=SECONDS_MAX, cwd=scratch)
        except subprocess.TimeoutExpired as late:
            return f"{name}: not done within {SECONDS_MAX} s\n{(late.stdout or b'').decode()[-2000:]}"
    if run.returncode:
        return f"{name}:\n{run.stdout}{run.stderr}"
    cases = re.search(r"(\d+) generated", run.stdout)
    print(f"openapi: {name} answers {cases[1] if cases else '?'} requests as documented ({time.monotonic() - began:.0f} s)", flush=True)
    return None


def main():
    sluice, schemathesis = (str(Path(argument).absolute()) for argument in sys.argv[1:3])
    with tempfile.TemporaryDirectory() as scratch:
        processes = Processes(sluice, scratch)
        try:
            dev, ops = processes.node("dev")
            # Every stream takes a second. What is particular about its parameters, HEAD is asked too.
            streams = ("--phases", "fuzzing", "--include-operation-id", "openStream")
            others = ("--exclude-operation-id", "openStream", "--exclude-tag", "operations")
            # Here each listener has some of a path's methods only.
            half = ("--exclude-checks", "allow_header_conformance", *others)
            asked = [("sluice dev, by streams,", dev, *streams), ("sluice dev", dev, *others),
                     ("its operations listener", ops, "--include-tag", "operations")]
            if shutil.which("redis-server"):
                redis = processes.redis()
                gateway, _ = processes.node("gateway", redis)
                publisher, ops = processes.node("publisher", redis)
                asked += [("a gateway on Redis, by streams,", gateway, *streams),
                          ("a gateway on Redis", gateway, *half, "--exclude-tag", "publisher"),
                          ("a publisher on Redis", publisher, *half, "--exclude-tag", "public"),
                          ("the publisher's operations listener", ops, "--include-tag", "operations")]
            else:
                print("SKIPPED: gateway and publisher on Redis, for want of redis-server")
            # They wait for streams to end most of the time.
            with ThreadPoolExecutor(len(asked)) as pool:
                faults = [fault for fault in pool.map(lambda one: ask(schemathesis, *one), asked) if fault]
        finally:
            processes.stop()
    if faults:
        sys.exit("\n".join(f"openapi: {fault}" for fault in faults))


if __name__ == "__main__":
    main()
