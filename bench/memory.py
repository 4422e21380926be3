"""Memory after many requests: what does not grow any more after the first ten thousand grows by nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from measure import load
from procfs import rss
from system import service_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from contenders import Contender
    from scenarios import Scenario
    from system import System

FEW, MANY = 10_000, 100_000


def measure_memory(
    system: System, scenario: Scenario, contenders: Sequence[Contender], *, say: Callable[[str], None]
) -> dict[str, tuple[float, float]]:
    """MiB after the few and after the many, of each contender."""
    found = {}
    for contender in contenders:
        say(f"memory: {contender.name}")
        child, port = system.start_server(contender, scenario, service_name(contender, scenario))
        try:
            few = _after(FEW, contender.name, port, scenario, child.pid)
            found[contender.name] = few, _after(MANY - FEW, contender.name, port, scenario, child.pid)
        finally:
            system.stop([child])
    return found


def _after(requests: int, name: str, port: int, scenario: Scenario, pid: int) -> float:
    answered = 0
    while answered < requests:
        answered += load(name, port, scenario, 1)
    return rss(pid)
