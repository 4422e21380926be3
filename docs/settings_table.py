"""Writes the table of this project's own variables into settings.md: python docs/settings_table.py

The words are those below each name in `tracebaton_configurator.environment_variables`.
"""

from __future__ import annotations

import ast
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

DOCS = Path(__file__).parent
SOURCE = DOCS.parent / "configurator" / "tracebaton_configurator" / "environment_variables.py"
PAGE = DOCS / "settings.md"
START, END = "<!-- made by: make docs -->\n", "<!-- end -->\n"
UNSET = "unset"
_DEFAULT = "Default: "


class Variable(NamedTuple):
    """`default` as it would be written in the environment, or `UNSET`; `meaning` is Markdown on one line."""

    name: str
    default: str
    meaning: str


def variables() -> list[Variable]:
    """In the order of the module, which puts first what is asked for most."""
    body = ast.parse(SOURCE.read_text(encoding="utf-8")).body
    found = []
    for statement, below in pairwise(body):
        if not isinstance(statement, ast.Assign) or not isinstance(target := statement.targets[0], ast.Name):
            continue
        if not isinstance(below, ast.Expr) or not isinstance(text := ast.literal_eval(below.value), str):
            raise TypeError(f"There is no text below {target.id}.")
        meaning, _, default = text.strip().partition(_DEFAULT)
        found.append(Variable(target.id, default.strip("`") or UNSET, " ".join(meaning.split())))
    return found


def page() -> str:
    """settings.md with the table made anew."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(START)
    after = rest.partition(END)[2]
    rows = ["| variable | default | meaning |", "| --- | --- | --- |"]
    for name, default, meaning in variables():
        rows.append(f"| `{name}` | {default if default == UNSET else f'`{default}`'} | {meaning} |")
    return before + START + "\n".join(rows) + "\n" + END + after


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
