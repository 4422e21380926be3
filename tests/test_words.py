"""The words that are not used for things which have a name in the field (CONTRIBUTING, "The field's words")."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PRODUCT = sorted((*ROOT.glob("configurator/**/*.py"), *ROOT.glob("entrypoint/**/*.py")))
# Names of modules, classes, functions and attributes, as whole words between underscores.
NAMES = re.compile(
    r"(?:^|_)(?:gate|keeper|unrecorded|claimed|company|guest|trouble|complaints?|hostile|foreign|torn|adopt"
    r"|verdicts?|wire|outage|last_words|in_hand|stand_aside|doors?|roads?)(?:_|$)",
)
# Kinds of log lines, and a setting of the Docker Engine's, are no such names.
CLASSES = {"Gate", "Start", "Decided", "Roots", "Keeper", "Endpoints", "Table", "Delivery", "Wire", "Verdict", "Reply"}
SENTENCES = re.compile(
    r"\b(?:the gate|stands aside|last words|line at start|in hand|unrecorded|hostile)\b", re.IGNORECASE
)


def names_of(path: Path) -> set[str]:
    found = {path.stem, path.parent.name}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
    return found


@pytest.mark.parametrize("path", PRODUCT, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_product_has_none_of_the_old_names(path: Path) -> None:
    names = names_of(path)
    assert {name for name in names if NAMES.search(name.lower())} == set()
    assert names & CLASSES == set()
    assert SENTENCES.findall(path.read_text(encoding="utf-8")) == []


def test_it_notices(tmp_path: Path) -> None:
    path = tmp_path / "some_module.py"
    path.write_text("class Gate:\n    def take(self, verdict):\n        self._in_hand = 1\n")
    names = names_of(path)
    assert names & CLASSES == {"Gate"}
    assert {name for name in names if NAMES.search(name)} == {"verdict", "_in_hand"}


def test_one_name_is_one_class() -> None:
    names = Counter(
        node.name
        for package in ("configurator", "entrypoint")
        for path in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
    )
    assert [name for name, count in names.items() if count > 1] == []
