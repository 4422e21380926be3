"""Where received spans wait, few at a time, to be printed."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING

from tracebaton.view.refusal import RefusedError
from tracebaton.view.spans import Span, decode

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    from tracebaton.store.lines import LogLine

__all__ = ["Intake"]

_BUSY = "the viewer is not keeping up, or is about to end; try again later"


class Intake:
    """Takes payloads of any number of requests and hands their spans to one that prints.

    A payload holds one of a few slots from before it is decompressed until it is taken out: that bounds the memory,
    however many clients there are and however much faster than the printing.
    """

    def __init__(
        self, *, slots: int = 1, patience: float = 5.0, take_lines: Callable[[list[LogLine]], None] | None = None
    ) -> None:
        """`patience`: seconds a client waits for a slot before it is told to come back later.

        `take_lines` is called in a thread with the lines of log records; without it they are dropped.
        """
        self._queue: asyncio.Queue[list[Span] | None] = asyncio.Queue()
        self._slots = asyncio.Semaphore(slots)
        self._patience = patience
        self._closed = False
        self.take_lines = take_lines
        self.malformed = 0
        self.rejected = 0

    async def accept(self, parse: Callable[[], ExportTraceServiceRequest]) -> int:
        """Decode a payload and queue its spans; return how many spans were rejected for invalid ids.

        `parse`, which runs in a thread, decompresses and returns the message, or raises ValueError. Raises
        RefusedError, and whatever else `parse` raises. Not to be cancelled: the thread would go on without a slot.
        """
        try:
            await asyncio.wait_for(self._slots.acquire(), self._patience)
        except asyncio.TimeoutError:
            raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, _BUSY) from None
        spans: list[Span] = []
        try:
            if not self._closed:
                spans, rejected = await asyncio.to_thread(lambda: decode(parse()))
            # Again, because what is put now nobody takes out, and the client must not be told that it was received.
            if self._closed:
                spans = []
                raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, _BUSY)
        except ValueError as error:
            self.malformed += 1
            raise RefusedError(HTTPStatus.BAD_REQUEST, str(error)) from error
        finally:
            if spans:
                self._queue.put_nowait(spans)
            else:
                self._slots.release()
        self.rejected += rejected
        return rejected

    async def accept_logs(self, parse: Callable[[], ExportLogsServiceRequest]) -> None:
        """As `accept`, of log records, which are handed on before this returns."""
        try:
            await asyncio.wait_for(self._slots.acquire(), self._patience)
        except asyncio.TimeoutError:
            raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, _BUSY) from None
        try:
            if self._closed:
                raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, _BUSY)
            await asyncio.to_thread(self._take_lines, parse)
        except ValueError as error:
            self.malformed += 1
            raise RefusedError(HTTPStatus.BAD_REQUEST, str(error)) from error
        finally:
            self._slots.release()

    def _take_lines(self, parse: Callable[[], ExportLogsServiceRequest]) -> None:
        from tracebaton.view.log_records import decode_logs

        if self.take_lines is not None:
            self.take_lines(decode_logs(parse()))

    def stop(self) -> None:
        """Have `get` return None once what is queued has been taken out."""
        self._queue.put_nowait(None)

    async def get(self, timeout: float | None = None) -> list[Span] | None:
        """Return the next payload's spans, none if nothing comes in `timeout` seconds (None: for ever); None: stop."""
        try:
            waiting = self._queue.empty()
            spans = await (asyncio.wait_for(self._queue.get(), timeout) if waiting else self._queue.get())
        except asyncio.TimeoutError:
            return []
        if spans is not None:
            self._slots.release()
        return spans

    def drain(self) -> list[Span]:
        """Return what is still queued, without waiting."""
        spans: list[Span] = []
        while not self._queue.empty():
            spans += self._queue.get_nowait() or []
        return spans

    def close(self) -> None:
        """Refuse whatever still comes, and free those who wait for a slot."""
        self._closed = True
        self._slots.release()  # which each of them hands on
