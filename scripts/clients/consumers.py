"""The programs of docs/clients.md on a node that is killed and drained: each must print every event, once and in order."""

import subprocess
import threading
import time

import snippets
import toolchains
from browser import Browser
from stage import Stage, within

EVENTS, PER_SECOND = 150, 25
ADDRESS = "http://127.0.0.1:8080"


class Program:
    """A program that runs, and the lines that it printed."""

    def __init__(self, command, folder):
        self.command, self.folder, self.lines, self.process = command, folder, [], None

    def start(self, _code=None):
        errors = open(self.folder / "errors", "w")
        self.process = subprocess.Popen(self.command, cwd=self.folder, stdout=subprocess.PIPE, stderr=errors, text=True,
                                        start_new_session=True)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def stop(self):
        self.process.kill()
        self.process.wait()


def prepared(page, replaced, report, only=None):
    """The programs that can run here, by language."""
    programs = {}
    for snippet in snippets.of(page):
        name = snippet.language
        if only not in (None, name):
            continue
        try:
            snippet = snippet.at(replaced)
            if name == "browser":
                programs[name] = (Browser(), snippet.code)
            else:
                programs[name] = (Program(*toolchains.ready(snippet, "consumer")), snippet.code)
        except toolchains.Missing as why:
            report.skipped(name, why)
        except toolchains.Broken as why:
            report.failed(name, why)
    return programs


def judge(lines):
    """What of the numbers was lost, repeated, out of order."""
    expected = [str(n) for n in range(1, EVENTS + 1)]
    lost = len(set(expected) - set(lines))
    repeated = len(lines) - len(set(lines))
    strange = len(set(lines) - set(expected))
    return lost, repeated, strange, lines == expected


def publish(stage, pace):
    publisher = stage.publisher("orders")
    for n in range(1, EVENTS + 1):
        pace(n)
        publisher.stdin.write(f"{n}\n")
        publisher.stdin.flush()
        time.sleep(1 / PER_SECOND)
    publisher.stdin.close()
    if publisher.wait(timeout=60):
        raise RuntimeError("sluice publish failed")


def run(sluice, page, report):
    """All programs at once, over one node: killed before the first event and at a third, drained at two thirds."""
    stage = Stage(sluice)
    programs = {}
    try:
        programs = prepared(page, {ADDRESS: stage.url}, report)
        browsers = [program for program, _ in programs.values() if isinstance(program, Browser)]
        stage.kill()
        stage.environment["SLUICE_CORS__ORIGINS"] = str([browser.origin for browser in browsers]).replace("'", '"')
        stage.start()
        for program, code in programs.values():
            program.start(code)
        all_there = lambda: stage.streams() == len(programs)
        within(60, all_there, f"{len(programs)} streams")

        def pace(n):
            if n in (1, EVENTS // 3):
                if n > 1:
                    within(60, all_there, "every client back after the first kill")
                stage.kill()
            elif n in (20, EVENTS // 3 + 25):
                stage.start()
            elif n == 2 * EVENTS // 3:
                within(60, all_there, "every client back after the kill")
                threading.Thread(target=stage.drain).start()
            elif n == 2 * EVENTS // 3 + 25:
                stage.gateway.wait(timeout=30)
                stage.start()

        publish(stage, pace)
        for name, (program, _) in programs.items():
            try:
                within(60, lambda: str(EVENTS) in program.lines, "the last event")
            except TimeoutError:
                pass
        time.sleep(1)  # for what comes twice to come
        for name, (program, _) in programs.items():
            lost, repeated, strange, exact = judge(program.lines)
            text = f"{len(program.lines)} events, {lost} lost, {repeated} repeated, {strange} other lines"
            report.passed(name, text) if exact else report.failed(name, f"{text}; {program.lines[-3:]}")
    finally:
        for program, _ in programs.values():
            if program.process:
                program.stop()
        stage.stop()
