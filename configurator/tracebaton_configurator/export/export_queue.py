"""What happens to a batch until it is delivered: retry, backoff, splitting, the spool, and giving up at the end.

Used by one thread; at the end of the process a second one may take over what the first still holds (`abandon`).
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from tracebaton_configurator.export.backlog import Backlog, Batch, halves_of
from tracebaton_configurator.export.export_result import Outcome, no_answer
from tracebaton_configurator.export.forks import importing
from tracebaton_configurator.export.spooled import Spooled
from tracebaton_configurator.export.suspects import Advice, Move, Suspects
from tracebaton_configurator.patching import os_threads

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracebaton_configurator.export.export_result import ExportResult
    from tracebaton_configurator.export.export_status import ExportStatus
    from tracebaton_configurator.export.exporters import Client
    from tracebaton_configurator.export.spool import Spool

_FIRST_WAIT, _LONGEST_WAIT = 0.5, 5.0
# A receiver that says "again, now" is not asked without a pause.
_SHORTEST_WAIT = 0.1
# How long `abandon` waits for a thread that is writing to a disk, or to a log, that hangs.
_STUCK = 0.5
# At the end of a process, one that does not answer is asked again for so long only: a Collector that is gone, gone
# perhaps because everything is being stopped, must not hold every container up.
_LAST_TRIES = 1.0


class ExportQueue:
    """Batches on their way to one receiver. `timeout` is that of one request, in seconds."""

    def __init__(
        self,
        make_client: Callable[[], Client],
        status: ExportStatus,
        *,
        timeout: float,
        most_spans: int,
        spool: Spool | None,
    ) -> None:
        self._make_client = make_client
        self.status = status
        self._timeout = timeout
        self._most_spans = most_spans
        self.spool = spool
        self._spooled = Spooled(spool, status)
        self.forget()

    def forget(self) -> None:
        """Begin anew, in a forked child: connection, batches and numbers are the parent's."""
        self._client: Client | None = None
        self._waiting = Backlog(self._most_spans)
        self._suspects = Suspects()
        self._probe_due = False
        self._in_flight: Batch | None = None
        self.taken = 0
        """How many batches; the number of the newest."""
        self._wait = 0.0
        self._not_before = 0.0
        self._deadline = 0.0
        self._end = float("inf")
        self._abandoned = False
        self._lock = os_threads.RLock()
        self.status.forget()
        self.counters = self.status.counters
        if self.spool is not None:
            self.spool.forget()

    def take(self, payload: bytes, spans: int) -> None:
        """Accept a batch for export_queue."""
        if self._abandoned:  # asked before the lock, too, which then belongs to a thread that hangs
            self.status.lose("the process ended", spans)
            return
        with self._lock:
            if self._abandoned:
                self.status.lose("the process ended", spans)
            else:
                if self.status.active:
                    self.status.waited += spans
                self.taken += 1
                batch = Batch(payload, spans, number=self.taken)
                self.status.lose("they waited in memory and there were too many", self._waiting.append(batch))

    def work(self, collect: Callable[[], object]) -> None:
        """Send what waits until nothing is left, or the receiver is to be left alone; `collect` may `take` more."""
        while True:
            collect()
            now = time.monotonic()
            if self._abandoned or now < self._not_before or now >= self._end:
                break
            batch = self._next()
            if batch is None:
                return
            self._settle(batch, self._send(batch.payload))
            self._probe()
        self._put_aside()

    def seconds_to_next_try(self) -> float | None:
        """None where nothing waits, or nothing is known to."""
        seconds = self._not_before - time.monotonic()
        if not self.status.active or (self.idle and seconds <= 0):
            return None
        return max(0.0, seconds)

    def end_at(self, moment: float) -> None:
        """Nothing is waited for beyond this moment of the monotonic clock; the request under way ends with it, too."""
        self._end = moment
        if self.status.active:
            # One more try, at once; then only as long as `_LAST_TRIES`.
            self._not_before = 0.0

    @property
    def waiting(self) -> int:
        """Spans in memory that are on their way, or wait for their receiver."""
        batches = [self._in_flight, *self._waiting]
        return sum(batch.spans for batch in batches if batch is not None and batch.entry is None)

    @property
    def idle(self) -> bool:
        """Whether nothing is on its way."""
        return not self._waiting and self._in_flight is None

    def has_settled(self, number: int) -> bool:
        """Whether none of the batches up to this one waits in memory; False where that cannot be told now."""
        if not self._lock.acquire(timeout=0):
            return False
        try:
            batches = [self._in_flight, *self._waiting]
        finally:
            self._lock.release()
        return all(batch is None or batch.entry is not None or batch.number > number for batch in batches)

    def finish(self) -> None:
        """The last tries of a process: until all is delivered, or it is of no use, or the time is over."""
        begun = time.monotonic()
        while not self._abandoned:
            self.work(lambda: None)
            wait = self._not_before - time.monotonic()
            # A receiver that says when to come back is worth waiting for.
            useful = begun + _LAST_TRIES if self._wait else self._end
            if self.idle or wait <= 0 or time.monotonic() + wait >= min(useful, self._end):
                return
            os_threads.sleep(wait)

    def abandon(self, collect: Callable[[], object]) -> None:
        """Take over what is left, also from a thread that hangs, and leave it on disk or count it as lost.

        `collect` may `take` the last spans, and does not raise.
        """
        usable = self._lock.acquire(timeout=_STUCK)
        try:
            self._abandoned = self._abandoned or not usable
            collect()
            self._abandoned = True
            left = [*([self._in_flight] if self._in_flight else []), *self._waiting]
            self._waiting.clear()
            self._in_flight = None
            for batch in left:
                if batch.entry is None and not (usable and self._spooled.put(batch)):
                    self.status.lose("the process ended", batch.spans)
            if usable:
                self._spooled.close()
        finally:
            if usable:
                self._lock.release()

    def _left(self) -> float:
        """Seconds for the request under way; asked again and again, because the end may be brought forward."""
        if self._abandoned:
            return 0.0
        return min(self._deadline, self._end) - time.monotonic()

    def _send(self, payload: bytes) -> ExportResult:
        self._deadline = time.monotonic() + self._timeout
        try:
            if self._client is None:
                with importing():
                    self._client = self._make_client()
            return self._client.send(payload, self._left)
        except Exception as error:  # noqa: BLE001 (whatever goes wrong in there, the spans wait for a better moment)
            if self._client is not None:
                self._client.close()
            return no_answer(f"{type(error).__name__}: {error}")

    def _next(self) -> Batch | None:
        with self._lock:
            if self._abandoned:
                return None
            self._in_flight = self._waiting.next()
            if self._in_flight is not None:
                return self._in_flight
        # What has just been recorded goes first: it is what somebody looks for.
        batch = self._spooled.next() if self._end == float("inf") else None
        with self._lock:
            if batch is None and not self._abandoned:
                batch = self._waiting.next_behind()
            self._in_flight = batch
        return batch

    def _settle(self, batch: Batch, result: ExportResult) -> None:
        with self._lock:
            if self._abandoned:
                # Its spans have been spooled or counted as lost already; delivered after all, they are there twice.
                return
            self._in_flight = None
            if result.outcome is Outcome.RETRY:
                self._fail(batch, result)
                return
            if result.outcome is Outcome.SPLIT and (halves := halves_of(batch)):
                self._replace(batch, halves)
            else:
                if self.status.settled(result, batch.spans, recovered=batch.entry is not None):
                    self._suspects.passed(batch.payload)
                self._spooled.remove(batch)
            if self.status.active:
                self._waiting.restore()
        self._wait = self._not_before = 0.0
        self.status.over()

    def _replace(self, batch: Batch, halves: list[Batch]) -> None:
        for half in reversed(halves):
            # What was on disk stays there, so that nothing ends it on the way.
            if batch.entry is not None and self._spooled.put(half):
                self.counters.spooled -= half.spans
            else:
                self._waiting.put_back(half)
        self._spooled.remove(batch)

    def _fail(self, batch: Batch, result: ExportResult) -> None:
        self.counters.retried += 1
        advice = self._suspects.failed(batch.payload, batch.spans, polite=result.wait is not None, cut=result.cut)
        ending = self._end != float("inf")
        if ending and advice.move is Move.AGAIN and not self._wait and result.wait is None and self._waiting:
            # There is no time to find out later whether it is this batch or the receiver.
            advice = Advice(Move.BEHIND, pause=False)
        halves = halves_of(batch) if advice.move is Move.HALVE else []
        if halves:
            self._suspects.halved(batch.payload, *(half.payload for half in halves))
            self._replace(batch, halves)
        elif advice.move is Move.DROP or (advice.move is Move.HALVE and not advice.pause):
            self._suspects.forget(batch.payload)
            self.status.dropped(result.reason, batch.spans)
            self._spooled.remove(batch)
        else:
            behind = advice.move is not Move.AGAIN
            if batch.entry is None:
                (self._waiting.put_behind if behind else self._waiting.put_back)(batch)
            elif behind:
                self._spooled.postpone(batch)
        if not advice.pause:
            self.status.last_error = result.reason
            return
        self._probe_due = advice.probe
        begins = not self.status.active
        self.status.failed(result.reason, quiet=ending)
        if begins:
            self.status.waited = sum(one.spans for one in self._waiting)
        self._wait = min(self._wait * 2 or _FIRST_WAIT, _LONGEST_WAIT)
        # Jitter keeps the containers of one outage from coming back all at once.
        wait = self._wait * random.uniform(0.5, 1.0)  # noqa: S311
        if result.wait is not None:
            wait = max(_SHORTEST_WAIT, result.wait) * random.uniform(1.0, 1.1)  # noqa: S311
            self._wait = 0.0
        self._not_before = time.monotonic() + wait

    def _probe(self) -> None:
        """Ask with an empty request, which OTLP answers with success, whether the receiver is there at all.

        https://opentelemetry.io/docs/specs/otlp/#full-success-1
        """
        if not self._probe_due or self._abandoned:
            return
        self._probe_due = False
        if self._send(b"").outcome is Outcome.DELIVERED:
            self._suspects.sign()
            self._wait = 0.0

    def _put_aside(self) -> None:
        """While the receiver is away, what waits is safer on disk, where there is a spool."""
        with self._lock:
            while self.status.active and not self._abandoned:
                batch = self._waiting.oldest
                if batch is None or not self._spooled.put(batch):
                    return
                self._waiting.remove_oldest()
