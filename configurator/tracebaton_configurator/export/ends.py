"""What is to be ended with the process: each part is guarded and bounded by itself, own export_queues come first."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from opentelemetry.sdk.trace import SpanProcessor, SynchronousMultiSpanProcessor

from tracebaton_configurator.export.forks import call_in_children
from tracebaton_configurator.export.span_processor import QueueSpanProcessor
from tracebaton_configurator.logs import own
from tracebaton_configurator.patching import os_threads

if TYPE_CHECKING:
    from collections.abc import Callable


# From here on, a process that has begun to end starts no thread, so those it will need have to be there before.
_NO_LATE_THREADS = sys.version_info >= (3, 12)

# Of the time for the end, what is kept for saying what has not ended.
_RESERVE = 0.25
# The share of it that what goes first is waited for, should it hang on a lock that this end has interrupted.
_FOR_THE_FIRST = 0.2


class Part:
    """Something to `end`, which may raise, or never come back; `name` is for the line that says so.

    `bounded`: it keeps to the time by itself. `needed` says whether there is anything to end it for. What goes `first`
    ends spans, which the others deliver.
    """

    def __init__(
        self,
        name: str,
        end: Callable[[], object],
        *,
        bounded: bool = False,
        needed: Callable[[], bool] = lambda: True,
        first: bool = False,
    ) -> None:
        self.name = name
        self.bounded = bounded
        self.first = first
        self.is_needed = needed
        self._end = end
        self._begin = os_threads.Latch()
        self._thread: os_threads.Thread | None = None
        if _NO_LATE_THREADS and not bounded:
            self._wait_for_the_end()
            call_in_children(self._wait_for_the_end)

    def run(self) -> None:
        """End it here and now."""
        try:
            self._end()
        except BaseException as error:  # noqa: BLE001 (SystemExit of one part is no reason to leave out the others)
            own.error(
                "%s failed to shut down, and what it had not sent may be lost: %s: %s",
                self.name,
                type(error).__name__,
                error,
            )

    def start(self) -> os_threads.Thread | None:
        """End it in a thread; None where there is none, and none can be started."""
        if self._thread is None:
            try:
                return os_threads.Thread.start(self.run)
            except RuntimeError:
                return None
        self._begin.open()
        return self._thread

    def _wait_for_the_end(self) -> None:
        begin = self._begin = os_threads.Latch()

        def wait() -> None:
            while not begin.wait(1 << 20):
                pass
            self.run()

        try:
            self._thread = os_threads.Thread.start(wait)
        except RuntimeError:
            self._thread = None


def end_all(parts: list[Part], seconds: float, *, cooperate: bool) -> None:
    """End all that is needed, side by side where that can be, and leave behind what has not ended in time.

    `cooperate`: in this thread, one after the other, what is not `bounded`; its locks and waits may be greenlets'.
    """
    deadline = time.monotonic() + seconds - min(_RESERVE, seconds / 4)
    for part in parts:
        if part.first and part.is_needed():
            thread = None if cooperate else part.start()
            if thread is None:
                part.run()
            else:
                thread.join(seconds * _FOR_THE_FIRST)
    needed = [part for part in parts if not part.first and part.is_needed()]
    needed.sort(key=lambda part: not part.bounded)
    # The first is one of our own, if there is any, and keeps to the time.
    here = needed.pop(0) if needed and needed[0].bounded else None
    begun = [(part, None if cooperate and not part.bounded else part.start()) for part in needed]
    if here is not None:
        here.run()
    for part, thread in begun:
        if thread is None:
            part.run()
        elif not thread.join(deadline - time.monotonic()):
            own.error("%s did not shut down within %.1f s and was abandoned.", part.name, seconds)


class SpanProcessors(SynchronousMultiSpanProcessor):
    """The processors of a provider, which remembers how to end each of them."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.parts: list[Part] = []
        self.queues: tuple[QueueSpanProcessor, ...] | None = None
        """Those that get a span which has ended, where there is nobody else but what only redacts."""

    def add_span_processor(self, span_processor: SpanProcessor) -> None:
        self.queues = None
        super().add_span_processor(span_processor)
        others = [one for one in self._span_processors if not getattr(one, "only_redacts", False)]
        queues = tuple(one for one in others if type(one) is QueueSpanProcessor)
        self.queues = queues if len(queues) == len(others) else None
        if type(span_processor).shutdown is SpanProcessor.shutdown:
            return  # it has nothing to end
        if isinstance(span_processor, QueueSpanProcessor):
            part = Part(
                "The delivery of spans",
                span_processor.shutdown,
                bounded=True,
                needed=span_processor.has_something_to_end,
            )
        else:
            name = getattr(span_processor, "name", None) or f"The span processor {type(span_processor).__name__}"
            part = Part(name, span_processor.shutdown)
        self.parts.append(part)

    def shutdown(self) -> None:
        """As the application may ask for it: every one of them, whatever another one raises."""
        for part in sorted(self.parts, key=lambda part: not part.bounded):
            part.run()
