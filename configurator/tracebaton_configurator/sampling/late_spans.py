"""Error and latency overrides: which unsampled requests are recorded after all, once they have ended.

A request had its ids from the start, and its log lines and its calls carried them. So the span that is made at its end
is the parent of whatever the services below it have of the same request.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from opentelemetry import context as context_api

from tracebaton_configurator.logs.diagnostics import report_error
from tracebaton_configurator.sampling.decision import UNSAMPLED, RequestDecision, pending_decision

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.trace import Span, SpanContext

# Says why a span is there although its request was not sampled: `error` or `slow`.
REASON = "tracebaton.kept"
PER_SECOND = 10
_DISCONNECTS = ("ClientDisconnect", "WebSocketDisconnect")


def mark_failed(error: BaseException | None = None) -> None:
    """Have the request within which this is called kept as a failed one, whatever it answers.

    Nothing outside a request, in a sampled one, and for an `error` that is none: see `is_failure`.
    """
    decision = context_api.get_current().get(UNSAMPLED)
    # What goes on after the request has its context, and nobody would let go of the error.
    if isinstance(decision, RequestDecision) and not decision.ended and (error is None or is_failure(error)):
        decision.failed = True
        if isinstance(error, Exception):
            decision.error = error


def is_failure(error: BaseException) -> bool:
    """Not that a task is cancelled, nor that a client has gone, for which Starlette has two classes."""
    return isinstance(error, Exception) and not any(
        kind.__name__ in _DISCONNECTS and kind.__module__.startswith("starlette.") for kind in type(error).__mro__
    )


class LateSpans:
    """Makes at most ten a second in a process; `kept` and `dropped` count them. Never raises into a request."""

    def __init__(
        self, *, errors: bool, slower_than: float | None, per_second: int = PER_SECOND, total: bool = False
    ) -> None:
        self._errors = errors
        self._slower_than_ns = None if slower_than is None else int(slower_than * 1e9)
        self._to_last_byte = total
        self._per_second = per_second
        self._window = 0.0
        self._in_window = 0
        self.kept = 0
        self.dropped = 0

    def is_slow(self, began: int, ended: int, first_byte: int = 0) -> bool:
        """Whether the response, complete at `ended`, took longer than the threshold; a request without one did not.

        One that was streamed took until its `first_byte`, unless the threshold is for the `total`. All in ns; 0 for
        what never was. A WebSocket has no response, and is open for as long as it is.
        """
        if self._slower_than_ns is None:
            return False
        until = ended if self._to_last_byte or not first_byte else first_byte
        return until - began > self._slower_than_ns

    def keep(self, make: Callable[[str], object], *, failed: bool, slow: bool) -> None:
        """Call `make` with the value of `REASON`, if there is one and room for it."""
        failed = self._errors and failed
        if not failed and not slow:
            return
        if not self._has_room():
            self.dropped += 1
            return
        try:
            make("error" if failed else "slow")
            self.kept += 1
        except Exception as problem:  # noqa: BLE001 (the request is over; it must not fail for its span)
            report_error("The span of a request that failed could not be kept", problem)

    def _has_room(self) -> bool:
        now = time.monotonic()
        if now - self._window >= 1.0:
            self._window = now
            self._in_window = 0
        self._in_window += 1
        return self._in_window <= self._per_second


def start_late(decision: RequestDecision, span_context: SpanContext, start: Callable[[], Span]) -> Span:
    """What `start` makes, with the ids that the request had all along: recorded, whatever was decided."""
    # No `ot=th`: it was not chosen by chance, so it stands for itself and for no number of others.
    late = RequestDecision(
        decision.base,
        recorded=True,
        trace_id=span_context.trace_id,
        trace_state=span_context.trace_state,
        span_id=span_context.span_id,
    )
    token = pending_decision.set(late)
    try:
        return start()
    finally:
        pending_decision.reset(token)
