"""tracebaton.view.intake"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from tracebaton.view.intake import STOP, BusyError, Intake, MalformedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    MakeRequest = Callable[..., ExportTraceServiceRequest]


class TestIntake:
    def test_hands_over(self, make_request: MakeRequest) -> None:
        intake = Intake()
        assert intake.accept(lambda: make_request("a", "b")) == 0
        spans = intake.get(0)
        assert isinstance(spans, list)
        assert [span.name for span in spans] == ["a", "b"]
        assert intake.get(0) is None

    def test_rejected_are_counted(self, make_request: MakeRequest) -> None:
        intake = Intake()
        assert intake.accept(lambda: make_request("a", trace_id=b"short")) == 1
        assert intake.rejected == 1

    def test_full(self, make_request: MakeRequest) -> None:
        """When nobody takes anything out, the client is told to come back; room is made by taking out."""
        intake = Intake(slots=2, patience=0.01)
        for _ in range(2):
            intake.accept(lambda: make_request("a"))
        with pytest.raises(BusyError):
            intake.accept(lambda: make_request("a"))
        intake.get(0)
        intake.accept(lambda: make_request("a"))
        assert len(intake.drain()) == 2

    def test_failure_keeps_no_slot(self, make_request: MakeRequest) -> None:
        """A payload that does not parse, or a defect of ours, does not use up the room."""
        intake = Intake(slots=1, patience=0.01)

        def fail(error: Exception) -> ExportTraceServiceRequest:
            raise error

        for _ in range(3):
            with pytest.raises(MalformedError, match="bad"):
                intake.accept(lambda: fail(ValueError("bad")))
            with pytest.raises(RuntimeError):
                intake.accept(lambda: fail(RuntimeError()))
        assert intake.malformed == 3
        intake.accept(lambda: make_request("a"))

    def test_stop(self) -> None:
        intake = Intake()
        intake.stop()
        assert intake.get() is STOP

    def test_closed(self, make_request: MakeRequest) -> None:
        """After the end nothing is acknowledged that nobody will print, and nobody waits."""
        intake = Intake(slots=1, patience=60)
        intake.accept(lambda: make_request("a"))
        outcome: list[BaseException] = []

        def send() -> None:
            try:
                intake.accept(lambda: make_request("b"))
            except BusyError as error:
                outcome.append(error)

        waiting = threading.Thread(target=send)
        waiting.start()
        intake.close()
        waiting.join(5)
        assert len(outcome) == 1
        with pytest.raises(BusyError):
            intake.accept(lambda: make_request("c"))
        assert [span.name for span in intake.drain()] == ["a"]
