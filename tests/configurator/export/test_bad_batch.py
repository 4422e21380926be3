"""One span that the receiver cannot take: it is found, dropped and counted, and everything else is delivered."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from fault_kinds import Healthy, Poison, Refused
from fault_receiver import FaultyReceiver
from peers import payload
from processes import wait_for

from tracebaton_configurator.export import export_queue as module
from tracebaton_configurator.export import spool as spool_module
from tracebaton_configurator.export.export_queue import ExportQueue
from tracebaton_configurator.export.export_status import ExportStatus
from tracebaton_configurator.export.grpc_client import GrpcClient
from tracebaton_configurator.export.http_client import HttpClient
from tracebaton_configurator.export.spool import Spool
from tracebaton_configurator.settings.endpoint import Endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from typing_extensions import Self

DROPPED = "the receiver failed whenever it was sent them, and took others"
PATIENCE = 40.0


class Running:
    """A delivery in a thread of its own, to a real receiver."""

    def __init__(self, receiver: FaultyReceiver, spool: Path | None = None) -> None:
        url = receiver.endpoint + ("" if receiver.protocol == "grpc" else "/v1/traces")
        client = (GrpcClient if receiver.protocol == "grpc" else HttpClient)(Endpoint(url, receiver.protocol))
        self.spool = Spool(str(spool), 10_000_000) if spool else None
        self.export_queue = ExportQueue(
            lambda: client, ExportStatus(url, "here"), timeout=2.0, most_spans=100_000, spool=self.spool
        )
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(20)
        assert not self._thread.is_alive()
        self.export_queue.abandon(lambda: None)

    def _run(self) -> None:
        while not self._stop.wait(0.005):
            self.export_queue.work(lambda: None)

    @property
    def counted(self) -> tuple[int, dict[str, int]]:
        return self.export_queue.counters.exported, self.export_queue.counters.dropped


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LONGEST_WAIT", 0.1)
    monkeypatch.setattr(module, "_FIRST_WAIT", 0.02)
    monkeypatch.setattr(spool_module, "_LOOK_EVERY", 0.1)


@pytest.fixture(params=["grpc", "http/protobuf"])
def receiver(request: pytest.FixtureRequest) -> Iterator[FaultyReceiver]:
    with FaultyReceiver(request.param) as receiver:
        yield receiver


def poison(receiver: FaultyReceiver, number: int, kind: str) -> Poison:
    status = None if kind == "reset" else "UNAVAILABLE" if receiver.protocol == "grpc" else 503
    return Poison(f"span {number}", status)


KINDS = pytest.mark.parametrize("kind", ["reset", "status"])


@KINDS
class TestWhileOthersPass:
    @pytest.mark.parametrize("spooled", [False, True])
    @pytest.mark.parametrize(("batches", "size"), [(100, 1), (10, 10), (1, 100)])
    def test_99_of_100(
        self,
        receiver: FaultyReceiver,
        tmp_path: Path,
        kind: str,
        spooled: bool,  # noqa: FBT001
        batches: int,
        size: int,
    ) -> None:
        receiver.fault = poison(receiver, 4, kind)
        with Running(receiver, tmp_path if spooled else None) as running:
            for number in range(batches):
                running.export_queue.take(payload(size, 1 + number * size), size)
            assert wait_for(lambda: running.counted == (99, {DROPPED: 1}), PATIENCE), running.counted
            assert receiver.duplicates == 0
            tries = receiver.outcomes
            assert running.export_queue.idle
            # It is over: nothing is tried again.
            running.export_queue.take(payload(1, 1000), 1)
            assert wait_for(lambda: running.counted[0] == 100, 10)
            assert receiver.outcomes - tries == Counter(ok=1)
        assert sum(tries.values()) - tries["ok"] < 60
        assert list(tmp_path.iterdir()) == []

    def test_the_last_one_waits_for_others_to_pass(self, receiver: FaultyReceiver, kind: str) -> None:
        receiver.fault = poison(receiver, 10, kind)
        with Running(receiver) as running:
            for number in range(10):
                running.export_queue.take(payload(1, 1 + number), 1)
            assert wait_for(lambda: running.counted[0] == 9, PATIENCE)
            for number in range(100, 150):
                running.export_queue.take(payload(1, number), 1)
                wait_for(lambda number=number: running.counted[0] >= number - 90, 5)
            assert wait_for(lambda: running.counted == (59, {DROPPED: 1}), PATIENCE), running.counted

    def test_two_of_them_in_one_batch(self, receiver: FaultyReceiver, kind: str) -> None:
        receiver.fault = poison(receiver, 24, kind)
        with Running(receiver) as running:
            running.export_queue.take(payload(30, 1).replace(b"span 11", b"span 24"), 30)
            for number in range(10):
                running.export_queue.take(payload(3, 100 + 3 * number), 3)
            assert wait_for(lambda: running.counted == (58, {DROPPED: 2}), PATIENCE), running.counted


class TestAlone:
    @pytest.mark.parametrize("size", [1, 2, 64])
    def test_one_batch_and_no_other_ever(self, receiver: FaultyReceiver, size: int) -> None:
        """An empty request shows that the receiver is there."""
        receiver.fault = Poison("span 1")
        with Running(receiver) as running:
            running.export_queue.take(payload(size, 1), size)
            assert wait_for(lambda: running.counted == (size - 1, {DROPPED: 1}), PATIENCE), running.counted

    def test_the_next_process_does_not_try_for_ever_either(self, receiver: FaultyReceiver, tmp_path: Path) -> None:
        left = Spool(str(tmp_path), 10_000_000)
        for number in range(10):
            left.put(payload(10, 1 + 10 * number), 10)
        left.close()
        receiver.fault = Poison("span 55")
        with Running(receiver, tmp_path) as running:
            assert wait_for(lambda: running.counted == (99, {DROPPED: 1}), PATIENCE), running.counted
        assert list(tmp_path.iterdir()) == []


class TestAnOutage:
    @pytest.mark.parametrize("batches", [1, 3, 50])
    def test_loses_nothing(self, receiver: FaultyReceiver, batches: int) -> None:
        receiver.fault = Refused()
        with Running(receiver) as running:
            for number in range(batches):
                running.export_queue.take(payload(4, 1 + 4 * number), 4)
            assert wait_for(lambda: running.export_queue.counters.retried > 40, PATIENCE)
            receiver.fault = Healthy()
            assert wait_for(lambda: running.counted == (4 * batches, {}), PATIENCE)
        assert receiver.duplicates == 0

    def test_in_which_every_request_with_spans_is_reset(self, receiver: FaultyReceiver) -> None:
        """Several batches fail, and none passes: that is no reason to give any of them up."""
        receiver.fault = Poison("span 99")
        with Running(receiver) as running:
            for number in range(10, 30):
                running.export_queue.take(payload(1, number).replace(b"span %d" % number, b"span 99"), 1)
            assert wait_for(lambda: running.export_queue.counters.retried > 100, PATIENCE)
            assert running.counted == (0, {})

    def test_at_the_end_of_a_process_the_others_are_delivered(self, receiver: FaultyReceiver) -> None:
        receiver.fault = Poison("span 1")
        running: Any = Running(receiver)
        for number in range(10):
            running.export_queue.take(payload(10, 1 + 10 * number), 10)
        running.export_queue.end_at(time.monotonic() + 5)
        running.export_queue.finish()
        running.export_queue.abandon(lambda: None)
        exported, dropped = running.counted
        assert exported >= 90
        assert exported + sum(dropped.values()) == 100
