"""What tracebaton holds itself to."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from results import Results


class Target(NamedTuple):
    contender: str
    scenario: str
    limit: float  # CPU a request to the bare server's


TARGETS = (
    Target("tracebaton disabled", "hello", 1.02),
    Target("tracebaton 10 %", "hello", 1.15),
    Target("tracebaton 10 %", "chat", 1.20),
    Target("tracebaton 10 %", "routes-500", 1.15),
    Target("tracebaton 100 %", "hello", 2.0),
)
START_UP = ("tracebaton 10 %", 0.25)  # seconds of CPU over the bare server's


class Verdict(NamedTuple):
    what: str
    target: str
    measured: str
    lowest: str
    instructions: str
    met: bool


def verdicts(results: Results) -> list[Verdict]:
    """Each target of which something was measured."""
    found = []
    for contender, scenario, limit in TARGETS:
        ratio = results.ratio(contender, scenario)
        if ratio is not None:
            lowest, counted = results.lowest_ratio(contender, scenario), results.instruction_ratio(contender, scenario)
            others = f"{lowest:.2f}", "" if counted is None else f"{counted:.3f}"
            met = round(ratio, 2) <= limit
            found.append(Verdict(f"{contender}, {scenario}", f"≤ {limit:.2f}", f"{ratio:.2f}", *others, met))
    contender, seconds = START_UP
    for what, span in (("start-up", False), ("start-up and first span", True)):
        over = results.start_over(contender, span=span)
        if over is not None:
            met = round(over, 2) <= seconds
            found.append(Verdict(f"{contender}, {what}", f"≤ +{seconds:.2f} s", f"{over:+.2f} s", "", "", met))
    return found
