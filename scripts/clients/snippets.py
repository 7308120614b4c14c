"""The programs of the documentation: fenced blocks that a comment marks, such as <!-- run: python pip redis==8.1.0 -->."""

import re
from dataclasses import dataclass, field
from pathlib import Path

MARKED = re.compile(r"^<!-- run: (?P<what>[^>]*) -->\n```(?P<tag>\w+)\n(?P<code>.*?)^```$", re.M | re.S)


@dataclass
class Snippet:
    """A program: its language, what it needs from where, and its text."""

    language: str
    registry: str = ""
    packages: list = field(default_factory=list)
    code: str = ""

    def at(self, replaced):
        """The same with other addresses and names."""
        code = self.code
        for old, new in replaced.items():
            if old not in code:
                raise ValueError(f"{self.language}: {old!r} does not occur in the program")
            code = code.replace(old, new)
        return Snippet(self.language, self.registry, self.packages, code)


def of(page):
    """The marked programs of a page, in its order."""
    found = []
    for block in MARKED.finditer(Path(page).read_text(encoding="utf-8")):
        language, *rest = block["what"].split()
        registry, packages = (rest[0], rest[1:]) if rest else ("", [])
        found.append(Snippet(language, registry, packages, block["code"]))
    if not found:
        raise ValueError(f"{page}: no marked program")
    return found
