"""Where received spans wait, few at a time, for the one thread that prints."""

from __future__ import annotations

import contextlib
import os
import queue
import select
import threading
import weakref
from enum import Enum
from typing import TYPE_CHECKING

from tracebaton.view.spans import Span, decode

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

__all__ = ["STOP", "BusyError", "Intake", "MalformedError"]


_BUSY = "the viewer is not keeping up, or is about to end; try again later"


class MalformedError(Exception):
    """The payload is not what it says it is; sending it again will not help."""


class BusyError(Exception):
    """Nobody takes what was received, as when stdout is a paused pager; the client may retry."""


class _Stop(Enum):
    STOP = "stop"


STOP = _Stop.STOP


class Intake:
    """Takes payloads from any number of threads and hands spans to one.

    A payload holds one of a few slots from before it is decompressed until it is taken out: that bounds the memory,
    however many clients there are and however much faster than the printing.
    """

    def __init__(self, *, slots: int = 1, patience: float = 5.0) -> None:
        """`patience`: seconds a client waits for a slot before it is told to come back later."""
        # SimpleQueue.put is re-entrant, so that a signal handler may interrupt this very thread in the middle of one.
        self._queue: queue.SimpleQueue[list[Span] | _Stop] = queue.SimpleQueue()
        self._slots = threading.Semaphore(slots)
        self._patience = patience
        self._closed = False
        self._lock = threading.Lock()
        self.malformed = 0
        self.rejected = 0
        # The waiting is done on a pipe and not on the queue. A signal that comes between Python's last look and the
        # wait for a lock does not end that wait, nor does one that the system hands to another thread; a byte in a
        # pipe does, and signal.set_wakeup_fd writes one whenever a signal comes.
        self._pipe, self.wakeup_fd = os.pipe()
        os.set_blocking(self._pipe, False)
        os.set_blocking(self.wakeup_fd, False)
        weakref.finalize(self, _close, self._pipe, self.wakeup_fd)

    def accept(self, parse: Callable[[], ExportTraceServiceRequest]) -> int:
        """Decode a payload and queue its spans; return how many spans were rejected for invalid ids.

        `parse` decompresses and returns the message, or raises ValueError, which becomes MalformedError. Raises
        BusyError, and whatever else `parse` raises.
        """
        if not self._slots.acquire(timeout=self._patience) or self._closed:
            raise BusyError(_BUSY)
        try:
            spans, rejected = decode(parse())
        except ValueError as error:
            self._slots.release()
            with self._lock:
                self.malformed += 1
            raise MalformedError(str(error)) from error
        except BaseException:
            self._slots.release()
            raise
        with self._lock:
            # Again, because what is put now nobody takes out, and the client must not be told that it was received.
            if self._closed:
                raise BusyError(_BUSY)
            self.rejected += rejected
            if spans:
                self._put(spans)
            else:
                self._slots.release()
        return rejected

    def stop(self) -> None:
        """Wake the thread in `get` for the last time; may be called by a signal handler."""
        self._put(STOP)

    def get(self, timeout: float | None = None) -> list[Span] | _Stop | None:
        """Return the next payload's spans, or STOP.

        None means that nothing came in `timeout` seconds (None: for ever), or that a signal did.
        """
        if self._queue.empty():
            select.select([self._pipe], [], [], timeout)
        with contextlib.suppress(BlockingIOError):
            os.read(self._pipe, 4096)
        try:
            item = self._queue.get_nowait()
        except queue.Empty:
            return None
        if item is not STOP:
            self._slots.release()
        return item

    def drain(self) -> list[Span]:
        """Return what is still queued, without waiting."""
        spans: list[Span] = []
        while not self._queue.empty():
            item = self.get(0)
            if isinstance(item, list):
                spans += item
        return spans

    def _put(self, item: list[Span] | _Stop) -> None:
        self._queue.put(item)
        with contextlib.suppress(BlockingIOError):  # a pipe that is full wakes the reader as well
            os.write(self.wakeup_fd, b"\0")

    def close(self) -> None:
        """Refuse whatever still comes, and free those who wait for a slot."""
        with self._lock:
            self._closed = True
        self._slots.release(10_000)


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
