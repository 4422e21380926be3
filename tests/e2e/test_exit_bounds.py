"""The exit is bounded: from SIGTERM to the end it takes OTEL_TRACEBATON_SHUTDOWN_TIMEOUT and a second at most.

Whatever the receiver does, the exit status is the one it would be without tracing, and what could not be delivered is
counted in one line, or waits in the spool for the next process.
"""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

import httpx
import pytest
from fault_kinds import Blackholed, Fault, Hanging, Healthy, Protocol, Refused
from fault_receiver import FaultyReceiver
from harness import System
from launches import TRACED
from launching import in_threads
from outage_service import UVICORN, Maker, assert_all_arrive, ids, start_maker, wait_for_makers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

TIMEOUT = 2.0
# The whole queue waits for the end: nothing is sent before it is full, and it is not before the last of the spans.
FULL = {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "2048", "OTEL_TRACEBATON_SHUTDOWN_TIMEOUT": f"{TIMEOUT}s"}
MORE_THAN_FITS = 2100
RECEIVERS = {"up": Healthy(), "down": Refused(), "hanging": Hanging(), "blackholed": Blackholed()}
PROTOCOLS: list[Protocol] = ["grpc", "http/protobuf"]
OWN_HANDLER = "the application's own handler ran"


@pytest.fixture
def system() -> Iterator[System]:
    """Without a receiver of its own."""
    with System() as made:
        yield made
    assert made.left_behind() == []


def end_together(*makers: Maker, number: signal.Signals = signal.SIGTERM) -> dict[str, float]:
    """Signal all of them at the same time; the seconds that each took to end, by name."""
    taken: dict[str, float] = {}

    def end(maker: Maker) -> None:
        taken[maker.name] = maker.end(number)

    in_threads(*(lambda maker=maker: end(maker) for maker in makers))
    print({name: f"{seconds:.2f} s" for name, seconds in taken.items()})  # noqa: T201 (shown with -rP)
    return taken


def assert_every_span_is_accounted_for(receiver: FaultyReceiver, *makers: Maker) -> None:
    for maker in makers:
        lost, delivered = maker.lost_and_delivered()
        arrived = len(ids(receiver) & set(maker.made))
        assert arrived + lost == len(maker.made)
        assert delivered == (arrived if lost else 0)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("fault", RECEIVERS.values(), ids=RECEIVERS)
def test_an_end_with_an_empty_and_with_a_full_queue(system: System, fault: Fault, protocol: Protocol) -> None:
    with FaultyReceiver(protocol) as receiver:
        receiver.fault = fault
        empty = start_maker(system, receiver, "empty", **FULL)
        full = start_maker(system, receiver, "full", **FULL)
        wait_for_makers(empty, full)
        full.make(MORE_THAN_FITS)
        taken = end_together(empty, full)
        assert max(taken.values()) < TIMEOUT + 1
        assert [empty.child.returncode, full.child.returncode] == [-signal.SIGTERM, -signal.SIGTERM]
        assert_every_span_is_accounted_for(receiver, full)
        assert empty.lines("lost") == []
        if isinstance(fault, Healthy):
            assert len(ids(receiver)) >= 2048
        else:
            assert ids(receiver) == set()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_could_not_be_delivered_at_the_end_is_delivered_by_the_next_process(
    system: System, protocol: Protocol, tmp_path: Path
) -> None:
    with FaultyReceiver(protocol) as receiver:
        env = {**FULL, "OTEL_BSP_MAX_QUEUE_SIZE": "4096", "OTEL_TRACEBATON_SPOOL_DIR": str(tmp_path / "spool")}
        for fault in (Refused(), Hanging()):
            receiver.fault = fault
            before = start_maker(system, receiver, "before", **env)
            wait_for_makers(before)
            before.make(MORE_THAN_FITS)
            assert before.end() < TIMEOUT + 1
            assert before.child.returncode == -signal.SIGTERM
            assert ids(receiver) & set(before.made) == set()
            receiver.fault = Healthy()
            after = start_maker(system, receiver, "after", **{**env, "OTEL_BSP_SCHEDULE_DELAY": "100"})
            assert_all_arrive(receiver, before.made)
            wait_for_makers(after)
            assert after.wait_for_numbers(recovered=len(before.made))["dropped"] == 0
            after.end()
            assert [*before.lines("lost"), *after.lines("lost")] == []
        assert receiver.duplicates == 0
        assert list((tmp_path / "spool").iterdir()) == []


def test_by_default_it_is_over_in_time_for_docker_stop(system: System) -> None:
    """With the timeout of 5 s that is the default here; the receiver begins to hang while spans are on their way."""
    with FaultyReceiver() as receiver:
        maker = start_maker(system, receiver, "default", OTEL_BSP_SCHEDULE_DELAY="50")
        wait_for_makers(maker)
        maker.make(10)
        assert_all_arrive(receiver, maker.made)
        receiver.fault = Hanging()
        for _ in range(5):
            maker.make(500)
        assert maker.end() < 5 + 1
        assert maker.child.returncode == -signal.SIGTERM
        assert_every_span_is_accounted_for(receiver, maker)


# The control socket would take up to a second more to close.
GUNICORN = "gunicorn outage_app:app --workers 2 --worker-class asgi --bind 127.0.0.1:{port} --no-control-socket"
SERVERS = {"uvicorn": [*UVICORN, "--workers", "2"], "gunicorn": [*TRACED, *GUNICORN.split()]}


@pytest.mark.parametrize("command", SERVERS.values(), ids=SERVERS)
def test_workers_do_not_wait_for_one_another(system: System, command: Sequence[str]) -> None:
    """All together add the timeout once, to the 2 s that gunicorn itself may take; one by one would add it twice."""
    timeout = 4
    env = {**FULL, "OTEL_TRACEBATON_SHUTDOWN_TIMEOUT": f"{timeout}s"}
    with FaultyReceiver() as receiver:
        receiver.fault = Hanging()
        traced = start_maker(system, receiver, "workers", command, **env)
        untraced = start_maker(system, receiver, "untraced-workers", command[2:], **env)
        wait_for_makers(traced, untraced)
        for maker in (traced, untraced):
            for _ in range(20):
                maker.client.close()  # the next connection may go to the other worker
                maker.client = httpx.Client(timeout=20)
                maker.make(50)
        taken = end_together(traced, untraced)
        assert taken[traced.name] < timeout + 2 + 1
        assert statuses([traced]) == statuses([untraced]) == [0]
        lost = [int(line.split()[0]) for line in traced.lines("were lost (")]
        assert sum(lost) == len(traced.made)


@pytest.mark.parametrize("fault", [Healthy(), Hanging()], ids=["up", "hanging"])
def test_an_own_sigterm_handler_runs_and_the_status_stays(system: System, fault: Fault) -> None:
    """One that stands before uvicorn's and hands on, and one that uvicorn raises the signal for."""
    with FaultyReceiver() as receiver:
        receiver.fault = fault
        within = {**FULL, "OUTAGE_HANDLER": "1"}
        main = (sys.executable, "outage_main.py", "{port}")
        traced = [
            start_maker(system, receiver, "within", **within),
            start_maker(system, receiver, "around", (*TRACED, *main), **FULL),
        ]
        untraced = [
            start_maker(system, receiver, "untraced-within", UVICORN[2:], **within),
            start_maker(system, receiver, "untraced-around", main, **FULL),
        ]
        wait_for_makers(*traced, *untraced)
        for maker in traced:
            maker.make(5)
        taken = end_together(*traced, *untraced)
        for maker, same in zip(traced, untraced, strict=True):
            assert taken[maker.name] < taken[same.name] + TIMEOUT + 1
        assert statuses(traced) == statuses(untraced) == [-signal.SIGTERM, 7]
        assert handled(traced) == handled(untraced) == [1, 1]
        assert_every_span_is_accounted_for(receiver, *traced)


def statuses(makers: Sequence[Maker]) -> list[int | None]:
    return [maker.child.returncode for maker in makers]


def handled(makers: Sequence[Maker]) -> list[int]:
    """How often each one's own handler ran."""
    return [maker.child.output().count(OWN_HANDLER) for maker in makers]
