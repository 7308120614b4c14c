"""A real node to run clients against: redis-server and one gateway, on free ports, in a temporary folder."""

import json
import os
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path


SCRIPT = Path("crates/sluice-broker/scripts/publish.lua").resolve()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def within(seconds, condition, what):
    """Waits for a condition; anything that it raises counts as not yet."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if found := condition():
                return found
        except OSError:
            pass
        time.sleep(0.05)
    raise TimeoutError(f"not within {seconds} s: {what}")


class Stage:
    """`sluice` is the binary; `origins` may read streams from pages."""

    def __init__(self, sluice, origins=()):
        self.sluice = sluice
        self.folder = tempfile.TemporaryDirectory(prefix="sluice-clients-", ignore_cleanup_errors=True)
        self.redis_port, self.port, self.ops_port = free_port(), free_port(), free_port()
        self.log = (Path(self.folder.name) / "log").open("a")
        self.environment = os.environ | {
            "SLUICE_REDIS__URL": self.redis_url,
            "SLUICE_LISTEN__ADDR": f"127.0.0.1:{self.port}",
            "SLUICE_OPS__ADDR": f"127.0.0.1:{self.ops_port}",
            "SLUICE_AUTH__ANONYMOUS__SUBSCRIBE": '["**"]',
            "SLUICE_CORS__ORIGINS": json.dumps(list(origins)),
            "SLUICE_DRAIN__DELAY_MS": "200",
            "SLUICE_DRAIN__WINDOW_MS": "2000",
        }
        command = ["redis-server", "--port", str(self.redis_port), "--dir", self.folder.name, "--save", ""]
        self.redis = subprocess.Popen(command, stdout=self.log, stderr=self.log)
        within(20, lambda: socket.create_connection(("127.0.0.1", self.redis_port), 1).close() or True, "redis-server")
        self.start()

    @property
    def redis_url(self):
        return f"redis://127.0.0.1:{self.redis_port}"

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        self.gateway = subprocess.Popen([self.sluice, "gateway"], env=self.environment, stdout=self.log, stderr=self.log)
        within(30, lambda: self._ops("/readyz"), "the gateway is not ready")

    def kill(self):
        self.gateway.kill()
        self.gateway.wait()

    def drain(self):
        self.gateway.send_signal(signal.SIGTERM)
        return self.gateway.wait(timeout=30)

    def streams(self):
        return self.metric("sluice_streams_open")

    def history(self, topic):
        with urllib.request.urlopen(f"{self.url}/v1/topics/{topic}/events?limit=1000", timeout=5) as answer:
            return json.load(answer)["events"]

    def publisher(self, topic):
        """Publishes what it is called with, by the script that is documented for it, over one connection."""
        connection = socket.create_connection(("127.0.0.1", self.redis_port), 10)
        answers = connection.makefile("rb")

        def publish(data):
            parts = [part.encode() for part in ("EVAL", SCRIPT.read_text(), "1", f"sluice:{{{topic}}}:log", data)]
            connection.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts))
            answer = answers.readline()
            if not answer.startswith(b"*"):
                raise RuntimeError(f"publish.lua answered {answer!r}")
            for _ in range(int(answer[1:])):
                if (line := answers.readline()).startswith(b"$") and line != b"$-1\r\n":
                    answers.readline()

        return publish

    def metric(self, name):
        """The sum over its labels."""
        lines = self._ops("/metrics").splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.split("{")[0].split(" ")[0] == name)

    def _ops(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ops_port}{path}", timeout=2) as answer:
            return answer.read().decode()

    def stop(self):
        for process in (self.gateway, self.redis):
            process.kill()
            process.wait()
        self.log.close()
        self.folder.cleanup()
