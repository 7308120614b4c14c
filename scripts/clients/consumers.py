"""The programs of docs/clients.md on a node that is killed and drained: each must print every event, once and in order."""

import subprocess
import threading
from collections import Counter
import time

import snippets
import toolchains
from browser import Browser
from stage import Stage, within

EVENTS, PER_SECOND = 150, 25
ADDRESS = "http://127.0.0.1:8080"
# The data of some events, by their numbers; of all others it is the number.
SPECIAL = {
    10: "10\n\nbehind an empty line",
    30: "",
    45: "\n",
    70: "\n70 begins and ends with an empty line\n",
    # Longer than a line of many a reader: before and after the node was killed, and the largest that the node takes.
    20: "20 " + "x" * (100 << 10),
    90: "90 " + "y" * (100 << 10),
    120: "120 " + "z" * ((1 << 20) - 4_096),
}
LARGEST = str(1 << 20)


def data(n):
    return SPECIAL.get(n, str(n))


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


def printed(program):
    """What a program printed, line by line; a browser reports an event at once."""
    return "\n".join(program.lines).split("\n") if program.lines else []


def judge(lines, expected):
    """How many lines were lost, and how many are there too often or are not expected, and whether all is in order."""
    wanted, there = Counter(expected), Counter(lines)
    lost, more = wanted - there, there - wanted
    first = next((n for n, (is_line, should) in enumerate(zip(lines, expected)) if is_line != should), None)
    where = "" if first is None else f"; line {first + 1} is {lines[first][:60]!r} instead of {expected[first][:60]!r}"
    return lost.total(), more.total(), where, lines == expected


def publish(stage, pace):
    publisher = stage.publisher("orders")
    for n in range(1, EVENTS + 1):
        pace(n)
        publisher(data(n))
        time.sleep(1 / PER_SECOND)


def run(sluice, page, report):
    """All programs at once, over one node: killed before the first event and at a third, drained at two thirds."""
    stage = Stage(sluice)
    programs = {}
    try:
        programs = prepared(page, {ADDRESS: stage.url}, report)
        browsers = [program for program, _ in programs.values() if isinstance(program, Browser)]
        stage.kill()
        stage.environment["SLUICE_CORS__ORIGINS"] = str([browser.origin for browser in browsers]).replace("'", '"')
        stage.environment |= {"SLUICE_TOPICS__EVENT_BYTES_MAX": LARGEST, "SLUICE_PUBLISHER__LINE_BYTES_MAX": str(2 << 20)}
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
                within(60, lambda: str(EVENTS) in program.lines[-3:], "the last event")
            except TimeoutError:
                pass
        time.sleep(1)  # for what comes twice to come
        for name, (program, _) in programs.items():
            expected = "\n".join(data(n) for n in range(1, EVENTS + 1)).split("\n")
            lost, more, where, exact = judge(printed(program), expected)
            text = f"{EVENTS} events in {len(expected)} lines, {lost} lost, {more} repeated or strange"
            report.passed(name, text) if exact else report.failed(name, text + where)
    finally:
        for program, _ in programs.values():
            if program.process:
                program.stop()
        stage.stop()
