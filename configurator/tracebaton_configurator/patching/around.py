"""What this project does before and after OpenTelemetry's instrumentation of a library is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


class Around(NamedTuple):
    """Each may raise ImportError where the library is not there."""

    before: Callable[[], object] | None = None
    after: Callable[[], object] | None = None


def merged(tables: Iterable[Mapping[str, Around]]) -> dict[str, list[Around]]:
    """By the name of the instrumentation's entry point, in the order of the tables."""
    found: dict[str, list[Around]] = {}
    for table in tables:
        for name, around in table.items():
            found.setdefault(name, []).append(around)
    return found
