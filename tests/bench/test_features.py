"""The table of what each distribution does."""

from __future__ import annotations

import features


def test_a_line_for_each_feature_and_a_cell_for_each_contender() -> None:
    found = {"a": {"one": True, "other": False}, "b": {"one": False, "other": False}}
    assert features.rows(found) == [["one", "yes", "-"], ["other", "-", "-"]]


def test_the_readme_has_the_table_of_all_contenders() -> None:
    names = [name.removesuffix(" 10 %") for name in features.CONTENDERS]
    (marked,) = features._MARKED.finditer(features.README.read_text(encoding="utf-8"))
    assert f"|  | {' | '.join(names)} |" in marked[0]
