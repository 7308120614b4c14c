"""Runs every program of docs/clients.md and docs/publishing.md against real nodes: run.py SLUICE [consumers|sleepers|publishers|table].

`table` compares the table of docs/clients.md with what the programs do; with BLESS=1 it writes it.
"""

import os
import sys
from pathlib import Path

import consumers
import probe
import publishers
import sleepers

CLIENTS, PUBLISHING, ACCESS = Path("docs/clients.md"), Path("docs/publishing.md"), Path("docs/access.md")
MARK = "<!-- table: clients -->\n"


class Report:
    """A line for each program, and whether any failed."""

    def __init__(self, part):
        self.part, self.bad = part, 0

    def passed(self, name, text):
        print(f"{self.part}: {name}: {text}", flush=True)

    def skipped(self, name, why):
        print(f"{self.part}: {name}: SKIPPED, {why}", flush=True)

    def failed(self, name, why):
        self.bad += 1
        print(f"{self.part}: {name}: FAILED, {why}", flush=True)


def table(report):
    rows = probe.table(CLIENTS, report)
    found = probe.markdown(rows)
    text = CLIENTS.read_text()
    before, rest = text.split(MARK)
    there, after = rest.lstrip("\n").split("\n\n", 1) if rest.lstrip("\n").startswith("|") else ("", rest.lstrip("\n"))
    if os.environ.get("BLESS"):
        CLIENTS.write_text(before + MARK + "\n" + "\n".join(found) + "\n\n" + after)
        return
    for line in found:
        if line in there.splitlines():
            report.passed(line.split("|")[1].strip(), "as docs/clients.md says")
        else:
            report.failed(line.split("|")[1].strip(), f"docs/clients.md does not have the row {line}")


def main():
    sluice = Path(sys.argv[1]).resolve()
    parts = sys.argv[2:] or ["consumers", "sleepers", "publishers", "table"]
    bad = 0
    for part in parts:
        report = Report(part)
        if part == "consumers":
            consumers.run(sluice, CLIENTS, report)
        elif part == "sleepers":
            sleepers.run(sluice, CLIENTS, ACCESS, report)
        elif part == "publishers":
            publishers.run(sluice, PUBLISHING, report)
        elif part == "table":
            table(report)
        else:
            sys.exit(f"no such part: {part}")
        bad += report.bad
    sys.exit(1 if bad else 0)


main()
