"""tracebaton.view.intake"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING

import pytest

from tracebaton.view.intake import Intake
from tracebaton.view.refusal import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    MakeRequest = Callable[..., ExportTraceServiceRequest]


async def busy(intake: Intake, make_request: MakeRequest) -> None:
    with pytest.raises(RefusedError) as refusal:
        await intake.accept(lambda: make_request("a"))
    assert refusal.value.status == HTTPStatus.SERVICE_UNAVAILABLE


class TestIntake:
    def test_hands_over(self, make_request: MakeRequest) -> None:
        async def test() -> None:
            intake = Intake()
            assert await intake.accept(lambda: make_request("a", "b")) == 0
            assert [span.name for span in await intake.get(0) or ()] == ["a", "b"]
            assert await intake.get(0) == []

        asyncio.run(test())

    def test_rejected_are_counted(self, make_request: MakeRequest) -> None:
        intake = Intake()
        assert asyncio.run(intake.accept(lambda: make_request("a", trace_id=b"short"))) == 1
        assert intake.rejected == 1

    def test_full(self, make_request: MakeRequest) -> None:
        """When nobody takes anything out, the client is told to come back; room is made by taking out."""

        async def test() -> None:
            intake = Intake(slots=2, patience=0.01)
            for _ in range(2):
                await intake.accept(lambda: make_request("a"))
            await busy(intake, make_request)
            await intake.get(0)
            await intake.accept(lambda: make_request("a"))
            assert len(intake.drain()) == 2

        asyncio.run(test())

    def test_failure_keeps_no_slot(self, make_request: MakeRequest) -> None:
        """A payload that does not parse, or a defect of ours, does not use up the room."""

        def fail(error: Exception) -> ExportTraceServiceRequest:
            raise error

        async def test() -> None:
            intake = Intake(slots=1, patience=0.01)
            for _ in range(3):
                with pytest.raises(RefusedError, match="bad") as refusal:
                    await intake.accept(lambda: fail(ValueError("bad")))
                assert refusal.value.status == HTTPStatus.BAD_REQUEST
                with pytest.raises(RuntimeError):
                    await intake.accept(lambda: fail(RuntimeError()))
            assert intake.malformed == 3
            await intake.accept(lambda: make_request("a"))

        asyncio.run(test())

    def test_stop(self, make_request: MakeRequest) -> None:
        """It ends the taking out after what has come before."""

        async def test() -> None:
            intake = Intake()
            await intake.accept(lambda: make_request("a"))
            intake.stop()
            assert len(await intake.get() or ()) == 1
            assert await intake.get() is None

        asyncio.run(test())

    def test_closed(self, make_request: MakeRequest) -> None:
        """After the end nothing is acknowledged that nobody will print, and nobody waits."""

        async def test() -> None:
            intake = Intake(slots=1, patience=60)
            await intake.accept(lambda: make_request("a"))
            waiting = asyncio.create_task(busy(intake, make_request))
            await asyncio.sleep(0)
            intake.close()
            await asyncio.wait_for(waiting, 5)
            await busy(intake, make_request)
            assert [span.name for span in intake.drain()] == ["a"]

        asyncio.run(test())
