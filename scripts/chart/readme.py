"""Keeps the table of values in the chart's README.md equal to values.yaml and its `# --` comments.

Every value is documented: by a comment of its own or by that of a value it is part of. Without arguments this only
compares; with --write it writes.
"""

import json
import re
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
VALUES = ROOT / "helm/sluice/values.yaml"
README = ROOT / "helm/sluice/README.md"
BEGIN, END = "<!-- values: generated from values.yaml by `BLESS=1 make chart` -->\n", "<!-- end of values -->\n"


def comment_above(lines, line):
    """The text of the `# --` comment that ends above `line`, if there is one."""
    block = []
    while line > 0 and (found := re.match(r" *# ?(.*)", lines[line - 1])):
        line -= 1
        block.insert(0, found[1])
        if found[1].startswith("-- "):
            return " ".join([found[1][3:], *block[1:]])
    return None


def rows(node, path, lines):
    for key, value in node.value:
        name = f"{path}.{key.value}" if path else key.value
        text = comment_above(lines, key.start_mark.line)
        if isinstance(value, yaml.MappingNode) and value.value and text is None:
            yield from rows(value, name, lines)
        elif text is None:
            sys.exit(f"readme: {name} in {VALUES.relative_to(ROOT)} has no `# --` comment")
        else:
            default = yaml.safe_load(yaml.serialize(value))
            shown = json.dumps(default, ensure_ascii=False).replace("|", "\\|")
            yield f"| `{name}` | `{shown}` | {text.replace('|', chr(92) + '|')} |"


def main():
    text = VALUES.read_text()
    table = ["| value | default | what |", "|---|---|---|", *rows(yaml.compose(text), "", text.splitlines())]
    readme = README.read_text()
    before, rest = readme.split(BEGIN)
    after = rest.split(END)[1]
    wanted = before + BEGIN + "\n" + "\n".join(table) + "\n\n" + END + after
    if "--write" in sys.argv[1:]:
        README.write_text(wanted)
    elif wanted != readme:
        sys.exit(f"readme: {README.relative_to(ROOT)} is not what {VALUES.relative_to(ROOT)} says: run `BLESS=1 make chart`")


if __name__ == "__main__":
    main()
