"""Outages under load: what the process accepted is not lost while it has a spool, and the service does not notice."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from fault_kinds import (
    Blackholed,
    CutRequest,
    CutResponse,
    Fault,
    Flapping,
    GrpcStatus,
    Hanging,
    Healthy,
    HttpStatus,
    Partial,
    Protocol,
    Refused,
    Slow,
    TooLarge,
)
from fault_receiver import FaultyReceiver
from harness import System
from launching import in_threads
from outage_service import Maker, assert_all_arrive, ids, start_maker, wait_for_makers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

PROTOCOLS: list[Protocol] = ["grpc", "http/protobuf"]
QUICK = {"OTEL_BSP_SCHEDULE_DELAY": "100"}
REQUEST_TIMEOUT = 1
BLOCKED = 2.0  # seconds; a request that waited for the receiver would take as long as the fault
AGAIN: dict[Protocol, list[Fault]] = {
    "grpc": [GrpcStatus("UNAVAILABLE", retry_after=0.5), GrpcStatus("RESOURCE_EXHAUSTED", retry_after=0.5)],
    "http/protobuf": [HttpStatus(503, retry_after="1"), HttpStatus(429, retry_after="1")],
}
NEVER: dict[Protocol, Fault] = {"grpc": GrpcStatus("INVALID_ARGUMENT"), "http/protobuf": HttpStatus(400)}
REFUSAL: dict[Protocol, str] = {"grpc": "INVALID_ARGUMENT", "http/protobuf": "400"}
# Faults of which a sender may not learn that its batch was taken.
ANSWER_MAY_BE_LOST = (Refused, Hanging, Blackholed, CutRequest, CutResponse, Flapping)
LIMIT = 6_000  # bytes; a span has about 200 of them


def script(protocol: Protocol) -> list[tuple[Fault, float]]:
    """Faults and for how many seconds, 45 in all."""
    unavailable, exhausted = AGAIN[protocol]
    return [
        (Healthy(), 1),
        (Refused(), 4),
        (Healthy(), 2),
        (Hanging(), 4),
        (Slow(0.3), 3),
        (Slow(REQUEST_TIMEOUT + 0.5), 3),
        (unavailable, 3),
        (exhausted, 3),
        (TooLarge(LIMIT), 3),
        (CutResponse(), 4),
        (CutRequest(), 3),
        (Blackholed(), 3),
        (Flapping(1), 6),
        (Healthy(), 3),
    ]


@pytest.fixture
def system() -> Iterator[System]:
    """Without a receiver of its own."""
    with System() as made:
        yield made
    assert made.left_behind() == []


@dataclass
class Load:
    """Requests all the time, some 20 a second."""

    maker: Maker
    pieces: int = 15
    _done: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> None:
        self._thread = threading.Thread(target=self._send)
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _send(self) -> None:
        while not self._done.wait(0.05):
            self.maker.make(self.pieces)


@dataclass
class Phase:
    """A fault may still meet a request while the next one is being set: the two overlap by as long as that takes."""

    fault: Fault
    begun: float
    ended: float = 0


def play(receiver: FaultyReceiver) -> list[Phase]:
    phases: list[Phase] = []
    for fault, seconds in script(receiver.protocol):
        phases.append(Phase(fault, time.time()))
        receiver.fault = fault
        if len(phases) > 1:
            phases[-2].ended = time.time()
        time.sleep(seconds)
    phases[-1].ended = time.time()
    return phases


def test_45_seconds_of_faults_under_load_lose_nothing(system: System, tmp_path: Path) -> None:
    with ExitStack() as stack:
        receivers = [stack.enter_context(FaultyReceiver(protocol)) for protocol in PROTOCOLS]
        env = {**QUICK, "OTEL_EXPORTER_OTLP_TIMEOUT": str(REQUEST_TIMEOUT)}
        makers = [
            start_maker(system, receiver, "faults", **env, OTEL_TRACEBATON_SPOOL_DIR=str(tmp_path / f"spool{number}"))
            for number, receiver in enumerate(receivers)
        ]
        wait_for_makers(*makers)
        with Load(makers[0]), Load(makers[1]):
            played: list[list[Phase]] = [[], []]
            in_threads(*(lambda n=n: played[n].extend(play(receivers[n])) for n in (0, 1)))
        for maker, receiver, phases in zip(makers, receivers, played, strict=True):
            assert_all_arrive(receiver, maker.made)
            assert ids(receiver) == set(maker.made)
            assert_each_fault_was_met(receiver, phases)
            unexplained, again = duplicates(receiver, phases)
            print(  # noqa: T201 (the number is wanted, and is shown with -rP)
                f"{receiver.protocol}: {len(maker.made)} spans, {again} of {receiver.accepted} that were taken were "
                f"duplicates; {dict(receiver.outcomes)}; the slowest request took {maker.longest:.3f} s"
            )
            assert unexplained == []
            assert again > 0  # after answers that were cut there are some, or nobody would have seen others
            assert_the_numbers_are_right(maker)
            assert_it_was_said_once(maker)
            assert maker.longest < BLOCKED
            maker.end()
            assert maker.child.returncode == -signal.SIGTERM
            assert maker.lines("were lost (") == []
        assert list(tmp_path.rglob("*.otlp")) == []


def assert_each_fault_was_met(receiver: FaultyReceiver, phases: Sequence[Phase]) -> None:
    """The script would prove nothing about a fault that no request came to."""
    outcomes = receiver.outcomes
    if receiver.protocol == "grpc":
        assert {"ok", "cut", "UNAVAILABLE", "RESOURCE_EXHAUSTED"} <= set(outcomes)
    else:
        assert {"ok", "cut", "503", "429", "413"} <= set(outcomes)
    requests = receiver.requests
    for phase in phases:
        during = [one for one in requests if phase.begun <= one.at < phase.ended]
        if isinstance(phase.fault, TooLarge):
            assert any(one.size > LIMIT and one.outcome != "ok" for one in during)
            assert [one for one in during if one.size > LIMIT and one.outcome == "ok"] == []
        elif isinstance(phase.fault, (GrpcStatus, HttpStatus)):
            # Without the pause that the answer asks for there would be dozens.
            assert 1 <= len([one for one in during if one.outcome != "ok"]) <= 8


def duplicates(receiver: FaultyReceiver, phases: Sequence[Phase]) -> tuple[list[str], int]:
    """The spans that came again although their sender must have heard that they were taken, and how many came again.

    A sender cannot have heard it where the answer was on its way when a fault of connections began, or came too late.
    """
    deaf = [
        # What a slow receiver was asked for in the end is taken when it answers.
        (phase.begun - REQUEST_TIMEOUT, phase.ended + (phase.fault.seconds if isinstance(phase.fault, Slow) else 0))
        for phase in phases
        if isinstance(phase.fault, ANSWER_MAY_BE_LOST)
        or (isinstance(phase.fault, Slow) and phase.fault.seconds >= REQUEST_TIMEOUT)
    ]
    seen: dict[str, float] = {}
    unexplained = []
    for one in receiver.received():
        name = f"{one.span.trace_id}:{one.span.span_id}"
        before = seen.get(name)
        if before is not None and not any(begun <= before <= ended for begun, ended in deaf):
            unexplained.append(name)
        seen[name] = one.at
    return unexplained, receiver.duplicates


def assert_the_numbers_are_right(maker: Maker) -> None:
    numbers = maker.wait_for_numbers(exported=len(maker.made), waiting=0)
    print(numbers)  # noqa: T201 (see above)
    assert numbers["reasons"] == {}
    assert numbers["retried"] > 5
    # A batch out of the spool that is split counts as recovered in no half.
    assert 0 < numbers["recovered"] <= numbers["spooled"]


def assert_it_was_said_once(maker: Maker) -> None:
    """Many outages within a minute, one line when delivery stops and one when it is back."""
    assert len(maker.lines("Spans cannot be delivered to")) == 1
    assert len(maker.lines("Spans are delivered to")) == 1


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_the_receiver_refuses_or_leaves_out_is_counted_and_said(system: System, protocol: Protocol) -> None:
    with FaultyReceiver(protocol) as receiver:
        maker = start_maker(system, receiver, "refused", **QUICK)
        wait_for_makers(maker)
        maker.make(1)
        assert_all_arrive(receiver, maker.made)
        maker.wait_for_numbers(exported=len(maker.made))
        for fault, pieces in ((NEVER[protocol], 3), (Partial(2), 4)):
            receiver.set_fault(fault, times=1)
            maker.make(pieces)
            numbers = maker.wait_for_numbers(known=len(maker.made), waiting=0)
        spans = {request.outcome: request.spans for request in receiver.requests}
        refused, left_out = spans[REFUSAL[protocol]], min(2, spans["partial"])
        assert numbers["reasons"] == {
            "the receiver refused them": refused,
            "the receiver left them out": left_out,
        }
        assert numbers["exported"] == len(ids(receiver))
        # Neither was sent again.
        assert (numbers["retried"], receiver.duplicates) == (0, 0)
        assert receiver.outcomes[REFUSAL[protocol]] == 1
        (line,) = maker.lines("which are lost")
        assert f" refused {refused} spans" in line
        (line,) = maker.lines("out of a batch")
        assert f" left {left_out} spans" in line
        maker.end()
        assert maker.lost_and_delivered() == (numbers["dropped"], numbers["exported"])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_without_a_spool_memory_is_bounded_and_what_is_dropped_is_counted(system: System, protocol: Protocol) -> None:
    most = 200
    with FaultyReceiver(protocol) as receiver:
        receiver.fault = Refused()
        queue = {"OTEL_BSP_MAX_QUEUE_SIZE": str(most), "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "50"}
        maker = start_maker(system, receiver, "bounded", **QUICK, **queue)
        wait_for_makers(maker)
        sizes = []
        for _ in range(4):
            for _ in range(25):
                maker.make(100)
            numbers = maker.wait_for_numbers(known=len(maker.made))
            # As many in the queue as wait behind it.
            assert 0 < numbers["waiting"] <= 2 * most
            sizes.append(resident(maker.child.pid))
        # What the last three rounds made would be some 9 MB.
        assert sizes[-1] - sizes[0] < 4e6, sizes
        receiver.fault = Healthy()
        numbers = maker.wait_for_numbers(known=len(maker.made), waiting=0)
        assert numbers["exported"] == len(ids(receiver)) > 0
        assert set(numbers["reasons"]) <= {
            "they waited in memory and there were too many",
            "the queue was full",
        }
        (line,) = maker.lines("Spans are delivered to")
        assert f"{numbers['reasons']['they waited in memory and there were too many']} were lost" in line
        maker.end()
        assert maker.lost_and_delivered() == (numbers["dropped"], numbers["exported"])
        assert maker.longest < BLOCKED


def resident(pid: int) -> int:
    """Bytes of memory."""
    with open(f"/proc/{pid}/statm", encoding="ascii") as statm:  # noqa: PTH123 (a line of the kernel's)
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
