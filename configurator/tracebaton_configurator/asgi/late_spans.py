"""Error and latency overrides: the SERVER span of an unsampled request that turned out to matter is made late.

The request had its ids from the start, and its log lines and its calls carried them. So the span that is made at its
end is the parent of whatever the services below it have of the same request.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry import context as context_api
from opentelemetry.trace import Link, SpanKind

from tracebaton_configurator.asgi.fast_path import parent_context
from tracebaton_configurator.asgi.guard import note_error, set_close_code
from tracebaton_configurator.logs.diagnostics import report_error
from tracebaton_configurator.sampling.decision import UNSAMPLED, RequestDecision, pending_decision

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from opentelemetry.trace import SpanContext

    from tracebaton_configurator.asgi.span_attributes import SpanDetails

# Says why a span is there although its request was not sampled: `error` or `slow`.
REASON = "tracebaton.kept"
PER_SECOND = 10
_DISCONNECTS = ("ClientDisconnect", "WebSocketDisconnect")


class RequestOutcome(NamedTuple):
    """How a request ended: times in ns since the epoch, status and close code 0 for none, what it raised or logged."""

    began: int
    ended: int
    status: int
    error: Exception | None
    failed: bool
    slow: bool
    close_code: int = 0


class Failure:
    """Whether an unsampled request has failed in a way that its answer does not show; `error` is with what."""

    __slots__ = ("ended", "error", "marked")

    def __init__(self) -> None:
        self.marked = self.ended = False
        self.error: Exception | None = None


def mark_failed(error: BaseException | None = None) -> None:
    """Have the request within which this is called kept as a failed one, whatever it answers.

    Nothing outside a request, in a sampled one, and for an `error` that is none: see `is_failure`.
    """
    failure = context_api.get_current().get(UNSAMPLED)
    # What goes on after the request has its context, and nobody would let go of the error.
    if isinstance(failure, Failure) and not failure.ended and (error is None or is_failure(error)):
        failure.marked = True
        if isinstance(error, Exception):
            failure.error = error


def is_failure(error: BaseException) -> bool:
    """Not that a task is cancelled, nor that a client has gone, for which Starlette has two classes."""
    return isinstance(error, Exception) and not any(
        kind.__name__ in _DISCONNECTS and kind.__module__.startswith("starlette.") for kind in type(error).__mro__
    )


class LateSpans:
    """Makes at most ten a second in a process; `kept` and `dropped` count them. Never raises into a request."""

    def __init__(self, *, errors: bool, slower_than: float | None, per_second: int = PER_SECOND) -> None:
        self._errors = errors
        self._slower_than_ns = None if slower_than is None else int(slower_than * 1e9)
        self._per_second = per_second
        self._window = 0.0
        self._in_window = 0
        self.kept = 0
        self.dropped = 0

    def is_slow(self, began: int, ended: int) -> bool:
        """Whether the response, complete at `ended`, took longer than the threshold; a request without one did not.

        A WebSocket has no response, and is open for as long as it is.
        """
        return self._slower_than_ns is not None and ended - began > self._slower_than_ns

    def keep(
        self,
        details: SpanDetails,
        scope: MutableMapping[str, Any],
        decision: RequestDecision,
        span_context: SpanContext,
        outcome: RequestOutcome,
    ) -> None:
        """Make and end the SERVER span of a request that has ended."""
        failed = self._errors and outcome.failed
        if not failed and not outcome.slow:
            return
        if not self._has_room():
            self.dropped += 1
            return
        try:
            self._make(details, scope, decision, span_context, outcome, "error" if failed else "slow")
            self.kept += 1
        except Exception as problem:  # noqa: BLE001 (the request is over; it must not fail for its span)
            report_error("The span of a request that failed could not be kept", problem)

    def _make(
        self,
        details: SpanDetails,
        scope: MutableMapping[str, Any],
        decision: RequestDecision,
        span_context: SpanContext,
        outcome: RequestOutcome,
        reason: str,
    ) -> None:
        name, attributes = details.of(scope)
        attributes[REASON] = reason
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
            span = details.tracer.start_span(
                name,
                context=parent_context(decision),
                kind=SpanKind.SERVER,
                attributes=attributes,
                start_time=outcome.began,
                links=[Link(decision.untrusted_parent)] if decision.untrusted_parent is not None else None,
            )
        finally:
            pending_decision.reset(token)
        error = outcome.error
        if error is not None:
            note_error(span, error, outcome.ended)
        if outcome.status:
            from tracebaton_configurator.asgi.upstream_asgi import set_status_code

            set_status_code(span, outcome.status, None, details.mode)
        if outcome.close_code:
            set_close_code(span, outcome.close_code, by_us=True)
        error_type = details.error_type(error) if error is not None else None
        if error_type is not None:
            span.set_attribute("error.type", error_type)
        span.end(outcome.ended)

    def _has_room(self) -> bool:
        now = time.monotonic()
        if now - self._window >= 1.0:
            self._window = now
            self._in_window = 0
        self._in_window += 1
        return self._in_window <= self._per_second
