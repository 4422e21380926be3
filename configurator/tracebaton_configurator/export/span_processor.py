"""The span processor: takes ended spans off the request path, and delivers them from a thread of its own.

Settings: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#batch-span-processor
What `on_end` does is all that a request pays: an append to a deque, and now and then a semaphore. It takes no lock.
"""

from __future__ import annotations

import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from opentelemetry.sdk.trace import SpanProcessor

from tracebaton_configurator.export.forks import call_in_children, importing
from tracebaton_configurator.export.gradually import Gradually
from tracebaton_configurator.export.sigterm import sigterm
from tracebaton_configurator.logs import own
from tracebaton_configurator.logs.limit import RateLimit
from tracebaton_configurator.patching import os_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span

    from tracebaton_configurator.export.counters import Counters
    from tracebaton_configurator.export.export_queue import ExportQueue

# Below the 4 MiB that a gRPC server takes by default.
_MOST_BYTES = 3_500_000
_QUIET_SECONDS = 60.0
# Of the time for the end, what is kept for writing down what could not be delivered.
_RESERVE = 0.25


class _Mark:
    """Stands in the queue behind the spans that are to be flushed."""

    number: int | None = None
    """Of the last batch before it, once that has been taken."""


class QueueSpanProcessor(SpanProcessor):
    """Batches ended spans. `delay` and `shutdown_timeout` are seconds, `most_queued` and `batch_size` spans.

    The thread starts with the first span, so that a process which forks its workers first has none to lose. In a forked
    child everything begins anew: what was queued is the parent's, and so are the spans that were open at that moment.
    """

    def __init__(
        self,
        export_queue: ExportQueue,
        make_encode: Callable[[], Callable[[Sequence[ReadableSpan]], bytes]],
        *,
        delay: float,
        most_queued: int,
        batch_size: int,
        shutdown_timeout: float,
    ) -> None:
        self.export_queue = export_queue
        self._make_encode = make_encode
        self._delay = delay
        self._most = most_queued
        self._size = min(batch_size, most_queued)
        self._enough = min(self._size, max(1, most_queued // 4))
        """From so many on, what is queued is a reason to hurry."""
        self._shutdown_timeout = shutdown_timeout
        # In a forked child, its own open spans, by id: those that were open at the fork are the parent's. No clock
        # tells them apart, for it may jump.
        self._opened: WeakValueDictionary[int, Span] | None = None
        self._shutdown_summary: str | None = None
        self._holder = object()
        self._held = False
        """Whether a SIGTERM is caught because of what is queued here, or on its way."""
        self._begin()
        call_in_children(self._begin_in_child)
        if export_queue.spool is not None:
            # What an earlier process has left waits for nobody's first span, nor for the delay.
            self._start()
            self._wake_up()

    @property
    def counters(self) -> Counters:
        return self.export_queue.counters

    @property
    def queued(self) -> int:
        """Spans that wait for their batch."""
        return len(self._queue)

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        if self._opened is not None:
            self._opened[span.get_span_context().span_id] = span

    def on_end(self, span: ReadableSpan) -> None:
        context = span.context
        if context is None or not context[3] & 1:  # a tuple, whose properties take longer than all else here
            return
        if self._opened is not None and self._opened.pop(context.span_id, None) is None:
            return
        queue = self._queue
        if len(queue) >= self._most or self._closed:
            self._overflow.add()
            return
        queue.append(span)
        if not self._held:
            self._held = True
            sigterm.hold(self._holder)
        if len(queue) >= self._size:
            self._wake_up()
        if self._thread is None:
            self._start()

    def has_something_to_end(self) -> bool:
        """Whether `shutdown` would deliver something, or has something to say."""
        return self._thread is not None or bool(self._queue) or bool(self.counters.dropped)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Deliver what has ended before; whether all of that was within the time, whatever has ended since."""
        end = time.monotonic() + timeout_millis / 1000
        mark = _Mark()
        if not self._closing:
            self._marks.add(mark)
            self._queue.append(mark)
            if self._thread is None:
                self._start()
        while time.monotonic() < end and not self._closing:
            if self._thread is None:
                self._work_without_thread()
            self._wake_up()
            if mark.number is not None and self.export_queue.has_settled(mark.number):
                break
            time.sleep(0.01)
        self._marks.discard(mark)
        with suppress(ValueError, IndexError):  # it has been taken, or is being
            self._queue.remove(mark)
        if mark.number is not None:
            return self.export_queue.has_settled(mark.number)
        return not self._queue and not self._collecting and self.export_queue.idle  # in the order in which they go on

    def shutdown(self) -> None:
        """Deliver what there is, within `shutdown_timeout`; what is left then goes to disk or is counted as lost."""
        begun = time.monotonic()
        end = begun + max(self._shutdown_timeout - _RESERVE, self._shutdown_timeout / 2)
        self.export_queue.end_at(end)
        self._closing = True
        self._wake_up()
        thread = self._thread
        if thread is not None and thread.is_alive():
            thread.join(end - time.monotonic() + _RESERVE / 2)
        else:
            self._finish()
        self._closed = True
        self.export_queue.abandon(self._collect_last)
        words = self.export_queue.status.shutdown_summary()
        if words and words != self._shutdown_summary:
            self._shutdown_summary = words
            own.warning("%s", words)
        self._let_go()

    def _begin(self) -> None:
        self._queue: deque[ReadableSpan | _Mark] = deque()
        self._encode: Callable[[Sequence[ReadableSpan]], bytes] | None = None
        self._overflow = self.export_queue.counters.overflow
        self._thread: os_threads.Thread | None = None
        self._starting = os_threads.allocate_lock()
        self._marks: set[_Mark] = set()
        self._collecting = False
        # A binary semaphore: `release` wakes the thread, and never waits for anybody.
        self._wake = os_threads.allocate_lock()
        self._wake.acquire()
        self._closing = False
        self._closed = False
        self._held = False
        self._collected = 0.0
        self._limit = RateLimit(_QUIET_SECONDS)

    def _begin_in_child(self) -> None:
        self._opened = WeakValueDictionary()
        self.export_queue.forget()
        self._begin()

    def _start(self) -> None:
        if not self._starting.acquire(blocking=False):
            return  # another thread is at it
        try:
            if self._thread is None and not self._closing:
                self._thread = os_threads.Thread.start(self._run)
        except RuntimeError:
            pass  # no thread can be started any more: the process is ending, and its end delivers
        finally:
            self._starting.release()

    def _work_without_thread(self) -> None:
        """Where none can be started any more, whoever flushes does what it would have done; one at a time."""
        self._start()
        if self._closing or not self._starting.acquire(blocking=False):
            return
        try:
            if self._thread is None:
                self._work()
        finally:
            self._starting.release()

    def _wake_up(self) -> None:
        if self._wake.locked():
            with suppress(RuntimeError):  # another thread was quicker
                self._wake.release()

    def _run(self) -> None:
        try:
            while not self._closing:
                wait = self.export_queue.seconds_to_next_try()
                self._wake.acquire(timeout=self._delay if wait is None else min(self._delay, max(wait, 0.01)))
                if not self._closing:
                    self._work()
                    if self._held and not self._has_spans():
                        self._let_go()
        finally:
            if not self._closing:
                self._thread = None  # whatever ended it, the next span starts another
        self._finish()

    def _has_spans(self) -> bool:
        return bool(self._queue) or not self.export_queue.idle

    def _let_go(self) -> None:
        self._held = False
        sigterm.let_go(self._holder)
        if self._has_spans() and not self._closed:  # one has ended meanwhile
            self._held = True
            sigterm.hold(self._holder)

    def _work(self) -> None:
        self._collected = 0.0
        try:
            self.export_queue.work(self._collect_if_due)
        except Exception as error:  # noqa: BLE001 (this thread must live; what it holds is tried again)
            self._complain("ExportQueue stumbled and goes on", error)

    def _finish(self) -> None:
        try:
            self._collect(len(self._queue))
            self.export_queue.finish()
        except Exception as error:  # noqa: BLE001 (an end that raises would leave behind what waits)
            self._complain("The last delivery failed", error)

    def _collect_if_due(self) -> None:
        """All that is queued, once; then, between batches of a long backlog, each time a batch.

        More of them would push out of memory what could be delivered now.
        """
        now = time.monotonic()
        if not self._collected or len(self._queue) >= self._size or now - self._collected >= self._delay:
            self._collect(self._size if self._collected else len(self._queue))
            self._collected = now

    def _collect(self, count: int) -> None:
        """Encode so many of the spans that are queued and hand them to the export_queue."""
        self._collecting = True
        try:
            self._collect_from(self._queue, count)
        finally:
            self._collecting = False

    def _collect_from(self, queue: deque[ReadableSpan | _Mark], count: int) -> None:
        while queue and count > 0:
            spans: list[ReadableSpan] = []
            mark = None
            with suppress(IndexError):  # at the end of the process, two threads may collect
                while mark is None and len(spans) < min(self._size, count):
                    one = queue.popleft()
                    if isinstance(one, _Mark):
                        mark = one
                    else:
                        spans.append(one)
            if mark is None and not spans:
                return
            count -= len(spans)
            for payload, number in self._encoded(spans) if spans else ():
                self.export_queue.take(payload, number)
            if mark is not None:
                mark.number = self.export_queue.taken

    def _collect_last(self) -> None:
        """What has ended since, and what a thread that hangs has not come to."""
        try:
            self._collect(len(self._queue))
        except Exception as error:  # noqa: BLE001 (see `_finish`)
            self._complain("The last spans could not be collected", error)

    def _encoded(self, spans: list[ReadableSpan]) -> list[tuple[bytes, int]]:
        try:
            if self._encode is None:
                with importing():
                    self._encode = self._make_encode()
            payload = self._encode(Gradually(spans, self._is_behind))
        except Exception as error:  # noqa: BLE001 (one span that cannot be encoded must not take others with it)
            if len(spans) == 1:
                self.counters.drop("they could not be encoded", 1)
                self._complain("A span could not be encoded and is lost", error)
                return []
        else:
            if len(payload) <= _MOST_BYTES or len(spans) == 1:
                return [(payload, len(spans))]
        middle = len(spans) // 2
        return self._encoded(spans[:middle]) + self._encoded(spans[middle:])

    def _is_behind(self) -> bool:
        return len(self._queue) >= self._enough or bool(self._marks) or self._closing

    def _complain(self, sentence: str, error: Exception) -> None:
        held = self._limit.pass_or_hold(sentence)
        if held is not None:
            more = f" ({held} more such lines were held back)" if held else ""
            with suppress(Exception):  # a handler of the application's may raise
                own.error("%s: %s: %s%s", sentence, type(error).__name__, error, more)
