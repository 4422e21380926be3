"""CPU per request: what the server's processes used between two readings, by the requests that wrk got answered."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from contenders import BARE
from procfs import cpu_seconds, rss
from results import Reading
from system import OTHER_CORE, pinned, service_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from contenders import Contender
    from processes import Child
    from scenarios import Scenario
    from system import System

BARE_EVERY = 4  # the bare server's turn comes this often, so that a machine that gets slower does so for all
# Of the spans that a contender should have delivered: fewer is not a fast contender but a broken one. The queue of the
# SDK's batch processor overflows under full load at 100 %, which is normal and shown in the table.
DELIVERED_AT_LEAST, DELIVERED_AT_MOST = 0.2, 1.5


class MeasureError(RuntimeError):
    """The application did not answer as it should, so there is nothing to measure."""


@dataclass
class _Running:
    contender: Contender
    child: Child
    port: int
    reading: Reading


def measure(
    system: System,
    scenario: Scenario,
    contenders: Sequence[Contender],
    *,
    rounds: int,
    seconds: int,
    say: Callable[[str], None],
) -> list[Reading]:
    """Start every contender once, warm it up, load them in turns, and check what they answered and exported."""
    running: dict[str, _Running] = {}
    try:
        for contender in contenders:
            say(f"{scenario.name}: starting {contender.name}")
            running[contender.name] = _start(system, scenario, contender)
            _load(running[contender.name], scenario, seconds=1)
        for number in range(rounds):
            _round(running, scenario, number, seconds, lambda text: say(f"{scenario.name}: round {text}"))
        for each in running.values():
            each.reading.end_rss = rss(each.child.pid)
        say(f"{scenario.name}: waiting for the last spans")
        counts = system.settled_counts()
    finally:
        system.stop([each.child for each in running.values()])
    for each in running.values():
        arrived = counts.get(service_name(each.contender, scenario), {"spans": 0, "server": 0})
        _check_spans(each, arrived)
    return [each.reading for each in running.values()]


def turns(names: Sequence[str], number: int) -> list[str]:
    """The order within one round: it starts elsewhere each time, and the bare one comes up again and again."""
    others = [name for name in names if name != BARE]
    first = number * 3 % max(len(others), 1)
    others = others[first:] + others[:first]
    order: list[str] = []
    for start in range(0, max(len(others), 1), BARE_EVERY):
        order += [BARE, *others[start : start + BARE_EVERY]]
    return [*order, BARE] if others else order


def _start(system: System, scenario: Scenario, contender: Contender) -> _Running:
    child, port = system.start_server(contender, scenario, service_name(contender, scenario))
    reading = Reading(contender.name, scenario.name, rss(child.pid))
    return _Running(contender, child, port, reading)


def _round(
    running: dict[str, _Running], scenario: Scenario, number: int, seconds: int, say: Callable[[str], None]
) -> None:
    """Load each in its turn.

    Its CPU is read again only after the next one's turn: what its exporter still had to deliver is part of the bill.
    """
    for each in running.values():
        each.reading.rounds.append([])
    order = turns(list(running), number)
    waiting: tuple[_Running, float, int] | None = None
    for position, name in enumerate(order):
        say(f"{number + 1}, {name} ({position + 1} of {len(order)})")
        each = running[name]
        before = cpu_seconds(each.child.pid)
        requests = _load(each, scenario, seconds)
        _settle_bill(waiting)
        waiting = (each, before, requests)
    _settle_bill(waiting)


def _settle_bill(waiting: tuple[_Running, float, int] | None) -> None:
    if waiting is not None:
        each, before, requests = waiting
        each.reading.rounds[-1].append((cpu_seconds(each.child.pid) - before) / requests * 1e6)


def _load(each: _Running, scenario: Scenario, seconds: int) -> int:
    requests = load(each.contender.name, each.port, scenario, seconds)
    each.reading.requests += requests
    return requests


def load(name: str, port: int, scenario: Scenario, seconds: int) -> int:
    """Have wrk ask for so long; how many requests were answered. Raises MeasureError where one was not."""
    command = [*pinned(OTHER_CORE), *scenario.wrk(port, seconds)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + 30)
    if done.returncode:
        raise MeasureError(f"wrk ended with status {done.returncode}: {done.stderr or done.stdout}")
    requests, failed = parse_wrk(done.stdout)
    if failed or not requests:
        raise MeasureError(f"{name}, {scenario.name}: {failed} of {requests} requests failed")
    return requests


def parse_wrk(output: str) -> tuple[int, int]:
    """Requests that were answered, and how many of them not with 2xx or 3xx, socket errors included."""
    answered = re.search(r"^\s*(\d+) requests in ", output, re.MULTILINE)
    if answered is None:
        raise MeasureError(f"this is not what wrk prints:\n{output}")
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    sockets = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", output)
    failed = int(refused[1]) if refused else 0
    return int(answered[1]), failed + (sum(map(int, sockets.groups())) if sockets else 0)


def _check_spans(each: _Running, arrived: dict[str, int]) -> None:
    """Note it as an error where a contender recorded nothing, or something although it should not."""
    share, reading = each.contender.share, each.reading
    reading.server_spans = arrived["server"]
    if share:
        reading.delivered = reading.server_spans / (share * reading.requests)
        if DELIVERED_AT_LEAST <= reading.delivered <= DELIVERED_AT_MOST:
            return
    elif not arrived["spans"]:
        return
    reading.error = (
        f"{arrived['server']} requests have arrived as a span ({arrived['spans']} spans in all), "
        f"about {share * reading.requests:.0f} should have"
    )
