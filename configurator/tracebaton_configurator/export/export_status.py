"""What is said about export_queue: when it stops, when it is back, what was refused; never a line a batch."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tracebaton_configurator.export.counters import Counters
from tracebaton_configurator.export.export_result import Outcome
from tracebaton_configurator.logs import own
from tracebaton_configurator.logs.limit import RateLimit

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracebaton_configurator.export.export_result import ExportResult

_QUIET_SECONDS = 60.0
# A receiver that is away for a single attempt, such as one that is being restarted, is not worth a line.
_FAILURES_BEFORE_A_LINE = 2


class ExportStatus:
    """Follows the answers of one receiver. `waiting` says in words where spans wait meanwhile."""

    def __init__(self, destination: str, waiting: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._destination = destination
        self._waiting = waiting
        self._clock = clock
        self.forget()

    def forget(self) -> None:
        """Begin anew, in a forked child: it has not tried yet."""
        self._limit = RateLimit(_QUIET_SECONDS, self._clock)
        self._began: float | None = None
        self._failures = 0
        self._said = False
        self.counters = Counters()
        self.last_error: str | None = None
        self.waited = 0
        self.lost = 0

    @property
    def active(self) -> bool:
        return self._began is not None

    def lose(self, reason: str, spans: int) -> None:
        """Count them; see `Counters.drop`."""
        self.counters.drop(reason, spans)
        self.lost += spans

    def settled(self, result: ExportResult, spans: int, *, recovered: bool) -> bool:
        """The receiver has a batch, or will never have it; whether it took some of it."""
        if result.outcome is Outcome.DELIVERED:
            rejected = min(result.rejected, spans)
            self.counters.exported += spans - rejected
            self.counters.recovered += spans - rejected if recovered else 0
            if rejected:
                self.left_out(result.reason, rejected)
            elif result.reason:
                self.warned(result.reason)
            return rejected < spans
        too_large = result.outcome is Outcome.SPLIT
        self.lose("a single span was too large for the receiver" if too_large else "the receiver refused them", spans)
        self.refused(result.reason, spans)
        return False

    def shutdown_summary(self) -> str | None:
        """The line for the end of a process that lost spans; None where none was lost."""
        words = self.counters.shutdown_summary()
        return f"{words} The last error was: {self.last_error}." if words and self.last_error else words

    def failed(self, reason: str, *, quiet: bool = False) -> None:
        """One more attempt was in vain. `quiet`: the process is ending, and its shutdown summary will say so."""
        self.last_error = reason
        if self._began is None:
            self._began = self._clock()
            self._failures = self.waited = self.lost = 0
            self._said = False
        self._failures += 1
        if self._failures >= _FAILURES_BEFORE_A_LINE and not self._said and not quiet:
            held = self._limit.pass_or_hold("outage")
            if held is not None:
                self._said = True
                own.warning(
                    "Spans cannot be delivered to %s: %s. They wait %s and will be retried%s.",
                    self._destination,
                    reason,
                    self._waiting,
                    f" ({held} failures since the last such line were held back)" if held else "",
                )

    def over(self) -> None:
        """The receiver answers again."""
        began, self._began = self._began, None
        if began is None or not (self._said or self.lost):
            return
        held = self._limit.pass_or_hold("over")
        if self._said or held is not None:  # whoever has read that it stopped is told that it is back
            own.info(
                "Spans are delivered to %s again, after %.0f s: %d waited, %d were lost.",
                self._destination,
                self._clock() - began,
                self.waited,
                self.lost,
            )

    def refused(self, reason: str, spans: int) -> None:
        """The receiver does not want these spans, now or later."""
        self.last_error = reason
        self._say("refused", "%s refused %d spans, which are lost: %s%s.", self._destination, spans, reason)

    def left_out(self, reason: str, spans: int) -> None:
        """Partial success: the receiver took a batch but for so many spans."""
        self.lose("the receiver left them out", spans)
        self.last_error = reason or None
        self._say("left out", "%s left %d spans out of a batch: %s%s.", self._destination, spans, reason or "no reason")

    def warned(self, reason: str) -> None:
        """The receiver took a batch and had something to say about it."""
        self._say("warned", "%s took a batch and says: %s%s.", self._destination, reason)

    def dropped(self, reason: str, spans: int) -> None:
        """The receiver fails when it is sent these spans, and takes others."""
        self.lose("the receiver failed whenever it was sent them, and took others", spans)
        self.last_error = reason
        self._say(
            "dropped", "%s failed whenever it was sent a certain %s, and took others: %s. Lost%s.",
            self._destination, "span" if spans == 1 else f"batch of {spans} spans", reason,
        )  # fmt: skip

    def corrupt(self, files: int, spans: int) -> None:
        self._say("corrupt", "%d corrupt files in the spool were set aside, with at least %d spans%s.", files, spans)

    def remark(self, sentence: str) -> None:
        """What was found in the spool, said once."""
        own.warning("%s.", sentence)

    def spool_failed(self, error: OSError) -> None:
        self._say(
            "spool",
            "The spool cannot be used, spans wait in memory: %s: %s%s.",
            type(error).__name__,
            error.strerror or error,
        )

    def _say(self, kind: str, message: str, *args: object) -> None:
        held = self._limit.pass_or_hold(kind)
        if held is not None:
            own.error(message, *args, f" ({held} more such lines were held back)" if held else "")
