"""The spool: shared by processes, inherited from a killed one, at its bound, and where it cannot be written."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest
from fault_kinds import Healthy, Refused
from fault_receiver import FaultyReceiver
from harness import System
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from outage_service import UVICORN, assert_all_arrive, ids, start_maker, wait_for_makers
from processes import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

QUICK = {"OTEL_BSP_SCHEDULE_DELAY": "100"}


@pytest.fixture
def system() -> Iterator[System]:
    """Without a receiver of its own."""
    with System() as made:
        yield made
    assert made.left_behind() == []


def test_processes_that_share_a_spool_deliver_what_a_killed_one_left_and_nothing_twice(
    system: System, tmp_path: Path
) -> None:
    with FaultyReceiver() as receiver:
        receiver.fault = Refused()
        env = {**QUICK, "OTEL_TRACEBATON_SPOOL_DIR": str(tmp_path / "spool")}
        killed, living = start_maker(system, receiver, "killed", **env), start_maker(system, receiver, "living", **env)
        wait_for_makers(killed, living)
        for maker in (killed, living):
            for _ in range(20):
                maker.make(30)
            maker.wait_for_numbers(spooled=len(maker.made), waiting=0)
        killed.end(signal.SIGKILL)
        receiver.fault = Healthy()
        # Two at once find what the killed one has left; the living one keeps its own.
        heirs = [start_maker(system, receiver, "heir", **env) for _ in range(2)]
        assert_all_arrive(receiver, killed.made + living.made)
        wait_for_makers(*heirs)
        living.wait_for_numbers(recovered=len(living.made))
        assert wait_for(lambda: sum(heir.wait_for_numbers()["recovered"] for heir in heirs) == len(killed.made), 5)
        for maker in (*heirs, living):
            maker.end()
            assert maker.lines("were lost (") == []
        assert receiver.duplicates == 0
        assert list((tmp_path / "spool").iterdir()) == []


def test_a_spool_that_has_reached_its_bound_drops_the_oldest_and_says_so(system: System, tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    with FaultyReceiver() as receiver:
        receiver.fault = Refused()
        bound = {"OTEL_TRACEBATON_SPOOL_DIR": str(spool), "OTEL_TRACEBATON_SPOOL_MAX_MB": "1"}
        maker = start_maker(system, receiver, "bounded-spool", **QUICK, **bound, OTEL_BSP_MAX_QUEUE_SIZE="20000")
        wait_for_makers(maker)
        for _ in range(30):
            maker.make(400)
        maker.wait_for_numbers(spooled=len(maker.made), waiting=0)
        assert sum(path.stat().st_size for path in spool.rglob("*.otlp")) <= 1_000_000
        receiver.fault = Healthy()
        assert_all_arrive(receiver, maker.made[-1000:])
        wait_for(lambda: not [*spool.rglob("*.otlp")], 20)
        numbers = maker.wait_for_numbers(known=len(maker.made))
        assert set(numbers["reasons"]) == {"the spool was full"}
        assert numbers["exported"] == numbers["recovered"] == len(ids(receiver))
        maker.end()
        assert maker.lost_and_delivered() == (numbers["dropped"], numbers["exported"])


def not_creatable(directory: Path) -> tuple[Path, dict[str, str]]:
    (directory / "file").touch()
    return directory / "file" / "spool", {}


def read_only(directory: Path) -> tuple[Path, dict[str, str]]:
    spool = directory / "spool"
    spool.mkdir(mode=0o500)
    return spool, {}


def on_a_full_disk(directory: Path) -> tuple[Path, dict[str, str]]:
    # A write ends in the middle of a file; compiled modules must not be written like that.
    return directory / "spool", {"OUTAGE_LARGEST_FILE": "30000", "PYTHONDONTWRITEBYTECODE": "1"}


@pytest.mark.parametrize("made", [not_creatable, read_only, on_a_full_disk])
def test_a_spool_that_cannot_be_written_costs_a_line_and_nothing_else(
    system: System, tmp_path: Path, made: Callable[[Path], tuple[Path, dict[str, str]]]
) -> None:
    spool, env = made(tmp_path)
    # Root may write wherever it likes, unless it is told not to.
    bound = ["setpriv", "--bounding-set=-dac_override"] if os.geteuid() == 0 else []
    with FaultyReceiver() as receiver:
        receiver.fault = Refused()
        env = {**env, **QUICK, "OTEL_TRACEBATON_SPOOL_DIR": str(spool)}
        maker = start_maker(system, receiver, "no-spool", [*bound, *UVICORN], **env)
        wait_for_makers(maker)
        for _ in range(4):
            maker.make(300)
        # A batch of a single span may still fit where the disk is full.
        numbers = maker.wait_for_numbers(waiting=len(maker.made) - spooled(spool))
        assert numbers["waiting"] > 1000
        assert numbers["reasons"] == {}
        # They are delivered out of memory.
        receiver.fault = Healthy()
        assert_all_arrive(receiver, maker.made)
        maker.wait_for_numbers(exported=len(maker.made), waiting=0)
        # At the end, too, they are counted as lost, and not as kept.
        receiver.fault = Refused()
        delivered = len(maker.made)
        maker.make(300)
        maker.end()
        assert maker.child.returncode == -signal.SIGTERM
        lost = len(maker.made) - delivered - spooled(spool)
        # Where all of them found room on disk after all, nothing is said.
        assert maker.lost_and_delivered() == ((lost, delivered) if lost else (0, 0))
        assert len(maker.lines("The spool cannot be used")) == 1
        assert list(tmp_path.rglob("*.part")) == []


def spooled(directory: Path) -> int:
    """Spans on disk that wait: each file is one message of OTLP."""
    messages = [ExportTraceServiceRequest.FromString(path.read_bytes()) for path in directory.rglob("*.otlp")]
    return sum(len(scope.spans) for one in messages for part in one.resource_spans for scope in part.scope_spans)
