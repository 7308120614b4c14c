#!/usr/bin/env python3
"""Holds the documentation together: every relative link leads to a file that is there, every anchor to a heading of it, and every page
of docs/ is in docs/README.md. Looks at every Markdown file of the repository."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCED = re.compile(r"^(```|~~~).*?^\1\s*$", re.M | re.S)


def pages():
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "*.md"], cwd=ROOT, capture_output=True, text=True)
    found = [ROOT / line for line in listed.stdout.splitlines()] or list(ROOT.glob("**/*.md"))
    return [page for page in found if page.exists()]


def anchors(page):
    """The anchors of a page's headings, made as GitHub makes them."""
    found, seen = set(), {}
    for line in FENCED.sub("", page.read_text(encoding="utf-8")).splitlines():
        if heading := re.match(r"#{1,6}\s+(.*?)\s*#*$", line):
            text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading[1]).replace("`", "").lower()
            anchor = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
            count = seen[anchor] = seen.get(anchor, -1) + 1
            found.add(f"{anchor}-{count}" if count else anchor)
    return found


def broken(page):
    """What is wrong with the links of a page, a line each."""
    text = FENCED.sub(lambda block: "\n" * block[0].count("\n"), page.read_text(encoding="utf-8"))
    for number, line in enumerate(text.splitlines(), 1):
        for target in LINK.findall(re.sub(r"`[^`]*`", "``", line)):
            if re.match(r"[a-z][a-z0-9+.-]*:", target):
                continue
            path, _, anchor = target.partition("#")
            file = (page.parent / path).resolve() if path else page
            where = f"{page.relative_to(ROOT)}:{number}: {target}"
            if not file.exists():
                yield f"{where}: no such file"
            elif anchor and file.suffix == ".md" and anchor not in anchors(file):
                yield f"{where}: no such heading"


def unlisted():
    index = ROOT / "docs/README.md"
    listed = {(index.parent / target.partition("#")[0]).resolve() for target in LINK.findall(index.read_text(encoding="utf-8"))}
    for page in sorted((ROOT / "docs").rglob("*.md")):
        if page != index and page not in listed:
            yield f"docs/README.md does not list {page.relative_to(ROOT)}"


def main():
    wrong = [line for page in pages() for line in broken(page)] + list(unlisted())
    for line in wrong:
        print(f"check-docs: {line}", file=sys.stderr)
    sys.exit(1 if wrong else 0)


main()
