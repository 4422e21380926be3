"""The conformance matrix of edges: by library, release, style and decision. `make edges` prints it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from libraries import EVERY_AGE, environment
from processes import wait_for
from spans import wait_for_spans

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from harness import System
    from processes import Child

    from tracebaton.view.spans import Span

APPS = Path(__file__).parent / "apps"


@pytest.fixture
def cell(record_property: Callable[[str, object], None]) -> Callable[..., None]:
    """Call it with what the test shows: a cell of the table is what became of all its tests."""

    def note(edge: str, library: str, *, style: str = "", sampled: bool, outcome: str = "connected") -> None:
        record_property("edge", (edge, library, style, "sampled" if sampled else "unsampled", outcome))

    return note


class Edge:
    """Starts the programs of a test, in an environment with its library, and asks what they have delivered."""

    def __init__(self, system: System) -> None:
        self.system = system

    def start(
        self, name: str, *command: str, libraries: tuple[str, ...] = (), env: Mapping[str, str] | None = None
    ) -> Child:
        """Start `tracebaton run COMMAND` as the service `name`; its program is the environment's where it has it."""
        programs = environment(libraries)
        variables = {
            "OTEL_SERVICE_NAME": name,
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.system.grpc_endpoint,
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "PYTHONPATH": str(APPS),
            **(env or {}),
        }
        own = programs / command[0]
        words = [str(own) if own.exists() else command[0], *command[1:]]
        runner = [str(programs / "python"), "-m", "tracebaton", "run"]
        return self.system.start(name, [*runner, *words], env=variables, cwd=APPS)

    def spans(self, enough: Callable[[Sequence[Span]], bool], seconds: float = 20) -> Sequence[Span]:
        """The spans received once there are `enough`; those there are after `seconds`, for the assertion to show."""
        return wait_for_spans(self.system, enough, seconds)

    def logs(self, name: str, enough: Callable[[Sequence[Any]], bool], seconds: float = 20) -> list[dict[str, Any]]:
        """The JSON lines of a program, once there are `enough`."""
        wait_for(lambda: enough(self.system.logs(name)), seconds, 0.1)
        return self.system.logs(name)


@pytest.fixture
def edge(system: System) -> Edge:
    """What it starts is ended with the system."""
    return Edge(system)


def assert_whole(spans: Sequence[Span], *, roots: int = 1) -> None:
    """Every span's parent is there, and each trace has one root; there are so many traces."""
    known = {(span.trace_id, span.span_id) for span in spans}
    orphans = [span for span in spans if span.parent_span_id and (span.trace_id, span.parent_span_id) not in known]
    assert orphans == []
    found = [span.trace_id for span in spans if not span.parent_span_id]
    assert len(found) == len(set(found)) == roots, [(span.service, span.name) for span in spans]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The table, where every age was tried."""
    if not EVERY_AGE:
        return
    cells: dict[tuple[str, ...], bool] = {}
    for state in ("passed", "failed"):
        for report in terminalreporter.stats.get(state, ()):
            for name, value in report.user_properties if report.when == "call" else ():
                if name == "edge":
                    cells[tuple(value)] = cells.get(tuple(value), True) and state == "passed"
    terminalreporter.write_line("| edge | library | style | decision | outcome |\n| --- | --- | --- | --- | --- |")
    for key, passed in sorted(cells.items()):
        terminalreporter.write_line(f"| {' | '.join(key if passed else (*key[:-1], f'**NOT** {key[-1]}'))} |")
