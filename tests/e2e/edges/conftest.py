"""The conformance matrix of edges: by library, release, style and decision. `make edges` prints it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from edge_services import Edge
from harness import System
from libraries import EVERY_AGE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def cell(record_property: Callable[[str, object], None]) -> Callable[..., None]:
    """Call it with what the test shows: a cell of the table is what became of all its tests."""

    def note(edge: str, library: str, *, style: str = "", sampled: bool, outcome: str = "connected") -> None:
        record_property("edge", (edge, library, style, "sampled" if sampled else "unsampled", outcome))

    return note


@pytest.fixture
def edge(system: System) -> Edge:
    """What it starts is ended with the system."""
    return Edge(system)


@pytest.fixture(scope="module")
def module_edge() -> Iterator[Edge]:
    """One for all tests of a module, with a receiver of its own; they tell their spans apart by trace."""
    with System() as made:
        made.start_receiver()
        yield Edge(made)
    assert made.left_behind() == []


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The table, where every age was tried; with `-v` a row a cell."""
    if not EVERY_AGE:
        return
    cells: dict[tuple[str, ...], bool] = {}
    for state in ("passed", "failed"):
        for report in terminalreporter.stats.get(state, ()):
            for name, value in report.user_properties if report.when == "call" else ():
                if name == "edge":
                    cells[tuple(value)] = cells.get(tuple(value), True) and state == "passed"
    outcomes = {key: key[-1] if passed else f"**not** {key[-1]}" for key, passed in cells.items()}
    terminalreporter.write_line("")
    if terminalreporter.verbosity > 0:
        terminalreporter.write_line("| edge | library | style | decision | outcome |\n| --- | --- | --- | --- | --- |")
        for key, outcome in sorted(outcomes.items()):
            terminalreporter.write_line(f"| {' | '.join((*key[:-1], outcome))} |")
        return
    rows: dict[tuple[str, str], list[str]] = {}
    for key, outcome in sorted(outcomes.items()):
        rows.setdefault((key[0], outcome), []).append(key[1])
    terminalreporter.write_line("| edge | libraries | outcome | cells |\n| --- | --- | --- | --- |")
    for (edge, outcome), libraries in rows.items():
        names = ", ".join(dict.fromkeys(libraries))
        terminalreporter.write_line(f"| {edge} | {names} | {outcome} | {len(libraries)} |")
