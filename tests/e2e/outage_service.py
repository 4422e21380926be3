"""A service in front of a receiver that misbehaves: the spans that it made, and what it says became of them."""

from __future__ import annotations

import re
import signal
import time
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

import httpx
from launches import TRACED
from launching import Service, start, wait_until_ready
from processes import wait_for

from tracebaton.control.talk import ask_all

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fault_receiver import FaultyReceiver
    from harness import System
    from processes import Child

UVICORN = (*TRACED, "uvicorn", "outage_app:app", "--host", "127.0.0.1", "--port", "{port}", "--no-access-log")
_LOST = re.compile(r"(\d+) spans were lost \((.*)\); (\d+) were delivered\.")
_number = count()


@dataclass
class Maker:
    """A running apps/outage_app.py. `made` has the spans of its answers, as `<trace id>:<span id>`."""

    system: System
    name: str
    url: str
    child: Child
    made: list[str] = field(default_factory=list)
    longest: float = 0.0
    """Seconds that the slowest answer took."""
    client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=20))

    def make(self, pieces: int) -> None:
        """Send a request that makes so many spans, beside its own."""
        begun = time.monotonic()
        answer = self.client.get(f"{self.url}/make/{pieces}")
        self.longest = max(self.longest, time.monotonic() - begun)
        assert answer.status_code == 200
        self.made += answer.json()

    def exporter(self) -> dict[str, Any]:
        """What `tracebaton status` shows of the exporter, asked as the command asks."""
        answers = ask_all({"do": "status"}, self.name)
        # Other processes of this machine are asked, too, whether they are of this service, and may be ending just then.
        assert answers.processes, answers.failures
        exporter: dict[str, Any] = answers.processes[0]["exporters"][0]
        return exporter

    def wait_for_numbers(self, seconds: float = 20, **expected: int) -> dict[str, Any]:
        """Wait until the exporter's numbers are these, and return all of them.

        `dropped` is the sum over all reasons, `known` the sum of all spans whose fate is known or that still wait.
        """
        numbers: dict[str, Any] = {}

        def reached() -> bool:
            numbers.update(numbers_of(self.exporter()))
            return all(numbers[name] == value for name, value in expected.items())

        assert wait_for(reached, seconds, 0.2), (expected, numbers, self.child.output_end())
        return numbers

    def lines(self, part: str) -> list[str]:
        """What it has logged with these words in it."""
        messages = [str(line.get("message", "")) for line in self.system.logs(self.name)]
        return [message for message in messages if part in message]

    def lost_and_delivered(self) -> tuple[int, int]:
        """The numbers in the line at the end of a process that lost spans, of which there is one at most."""
        said = [found for line in self.lines("were lost (") if (found := _LOST.match(line))]
        assert len(said) <= 1, said
        return (int(said[0][1]), int(said[0][3])) if said else (0, 0)

    def end(self, number: signal.Signals = signal.SIGTERM, seconds: float = 20) -> float:
        """Send the signal to the process; returns the seconds until it has ended."""
        self.client.close()
        begun = time.monotonic()
        self.child.signal(number)
        wait_for(lambda: self.child.returncode is not None, seconds, 0.005)
        taken = time.monotonic() - begun
        assert self.child.returncode is not None, self.child.output_end()
        return taken


def start_maker(
    system: System, receiver: FaultyReceiver, name: str, command: Sequence[str] = UVICORN, **env: str
) -> Maker:
    """Start the application; does not wait. Its name is unique on this machine: `status` asks for it."""
    name = f"{name}-{receiver.endpoint.rpartition(':')[2]}-{next(_number)}"
    protocol = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": receiver.protocol}
    service = start(system, name, command, env={**protocol, **env})
    return Maker(system, name, service.url, service.child)


def wait_for_makers(*makers: Maker) -> None:
    wait_until_ready(*(Service(maker.child, maker.url) for maker in makers))


def numbers_of(exporter: dict[str, Any]) -> dict[str, Any]:
    counters = exporter["counters"]
    dropped = sum(counters["dropped"].values())
    numbers = {**counters, "reasons": counters["dropped"], "dropped": dropped, "waiting": exporter["waiting"]}
    return {**numbers, "known": counters["exported"] + dropped + exporter["waiting"]}


def ids(receiver: FaultyReceiver) -> set[str]:
    """The spans that the receiver took."""
    return {f"{one.trace_id}:{one.span_id}" for one in receiver.spans()}


def assert_all_arrive(receiver: FaultyReceiver, made: Iterable[str], seconds: float = 30) -> None:
    """Each of these spans, at least once."""
    wanted = set(made)
    wait_for(lambda: wanted <= ids(receiver), seconds, 0.2)
    missing = wanted - ids(receiver)
    assert not missing, f"{len(missing)} of {len(wanted)} spans never arrived"
