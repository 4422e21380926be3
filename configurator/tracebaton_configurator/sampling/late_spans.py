"""Error and latency overrides: which unsampled requests are recorded after all, once they have ended.

A request had its ids from the start, and its log lines and its calls carried them. So the span that is made at its end
is the parent of whatever the services below it have of the same request.
"""

from __future__ import annotations

import time
from sys import getrefcount
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from tracebaton_configurator.logs.diagnostics import described, report_error
from tracebaton_configurator.logs.upstream import get_current
from tracebaton_configurator.sampling.decision import UNSAMPLED, RequestDecision, notes_calls, pending_decision
from tracebaton_configurator.sampling.threshold import randomness_of
from tracebaton_configurator.sampling.upstream import CURRENT_SPAN

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import Tracer
    from opentelemetry.trace import Span, TraceState

    from tracebaton_configurator.sampling.call_notes import CallNote, Calls, Keepable, Note
    from tracebaton_configurator.sampling.rate_counter import RateCounter

# Says why a span is there although its request was not sampled: `error` or `slow`.
REASON = "tracebaton.kept"
PER_SECOND = 10
# Notes: of one request, and of how many at a time.
MOST_CALLS = 64
MOST_REQUESTS = 1000
_DISCONNECTS = ("ClientDisconnect", "WebSocketDisconnect")


def mark_failed(error: BaseException | None = None) -> None:
    """Have the request within which this is called kept as a failed one, whatever it answers.

    Nothing outside a request, in a sampled one, and for an `error` that is none: see `is_failure`.
    """
    decision = get_current().get(UNSAMPLED)
    # What goes on after the request has its context, and nobody would let go of the error.
    if isinstance(decision, RequestDecision) and not decision.ended and (error is None or is_failure(error)):
        decision.failed = True
        if isinstance(error, Exception):
            decision.error = error


def mark_call_failed() -> None:
    """The same for a call, made here, whose span does not say that it failed."""
    request = notes_calls(get_current())
    if request is not None:
        request.call_failed = True


def is_failure(error: BaseException) -> bool:
    """Not that a task is cancelled, nor that a client has gone, for which Starlette has two classes."""
    return isinstance(error, Exception) and not any(
        kind.__name__ in _DISCONNECTS and kind.__module__.startswith("starlette.") for kind in type(error).__mro__
    )


class LateSpans:
    """Keeps about ten requests a second in a process, with what they called. Never raises into a request.

    Which ones, where there are more, is decided by the randomness of the trace id, as by a sampling rule of `10/s`: all
    services of a trace decide alike, as far as they have seen as many failures.

    `kept` and `dropped` count requests. `incomplete` is how many of those that were kept have calls that there was no
    room to note, and `calls_dropped` how many calls these were.
    """

    def __init__(
        self,
        *,
        errors: bool,
        slower_than: float | None,
        per_second: int = PER_SECOND,
        total: bool = False,
        calls: bool = True,
    ) -> None:
        self._errors = errors
        self._slower_than_ns = None if slower_than is None else int(slower_than * 1e9)
        self._to_last_byte = total
        self._per_second = per_second
        self._counter: RateCounter | None = None
        self._takes_calls = calls and (errors or slower_than is not None)
        # Who holds notes refers to it: a count of references needs no lock, and no word when one is gone.
        self._live = object()
        self._nobody = getrefcount(self._live)
        self._new_note: Callable[..., CallNote] | None = None
        self._new_calls: Callable[..., Calls] | None = None
        self.kept = self.dropped = self.calls_dropped = self.incomplete = 0

    def is_slow(self, began: int, ended: int, first_byte: int = 0) -> bool:
        """Whether the response, complete at `ended`, took longer than the threshold; a request without one did not.

        One that was streamed took until its `first_byte`, unless the threshold is for the `total`. All in ns; 0 for
        what never was. A WebSocket has no response, and is open for as long as it is.
        """
        if self._slower_than_ns is None:
            return False
        until = ended if self._to_last_byte or not first_byte else first_byte
        return until - began > self._slower_than_ns

    def watch(self, decision: RequestDecision) -> None:
        """Have the calls of an unsampled request noted from now on, where that is wanted."""
        if self._takes_calls and not decision.excluded:
            decision.late_spans = self

    def begin_call(self, tracer: Tracer, request: RequestDecision, parent: SpanContext, *args: Any) -> CallNote | None:
        """A note of a call of this request, `args` as `CallNote` takes them; None for one in a trace of its own.

        After a failure the call is sampled, for all that is below it: it may be a retry or make up for the failure.
        """
        if parent.trace_id != request.trace_id:
            return None
        if self._new_note is None:
            from tracebaton_configurator.sampling.call_notes import CallNote

            self._new_note = CallNote
        has_failed = request.failed or request.call_failed
        return self._new_note(tracer, request, parent, *args, sampled=has_failed and self.goes_on_sampled(request))

    def goes_on_sampled(self, request: RequestDecision) -> bool:
        """Whether the request has failed, as far as it is known. Then it is kept, whatever becomes of it."""
        if not (request.failed or request.call_failed) or not self._errors or not self._admits(request):
            return False
        request.call_failed = True
        return True

    def take(self, note: Note) -> None:
        """A call has ended. Never raises."""
        request = note.request
        if request.kept:
            self._make(note, request.kept)
        elif not request.ended:
            if note.failed:
                request.call_failed = True
            (request.calls or self._calls_of(request)).add(note)

    def take_work(self, request: RequestDecision, make: Callable[[str], object], calls: Calls | None) -> None:
        """Work within the request, with these calls, has ended well; if the request fails after all, it is kept too.

        `make` is called with the value of `REASON`, as that of `keep`.
        """
        if not request.ended:
            self._calls_of(request).add_work(make, calls)

    def _calls_of(self, request: RequestDecision) -> Calls:
        calls = request.calls
        if calls is None:  # two threads that end the first two calls at once may lose one of them
            if self._new_calls is None:
                from tracebaton_configurator.sampling.call_notes import Calls

                self._new_calls = Calls
            has_room = self.noted_requests < MOST_REQUESTS
            calls = request.calls = self._new_calls(MOST_CALLS if has_room else 0, self._live)
        return calls

    @property
    def noted_requests(self) -> int:
        """How many hold notes of their calls now."""
        return getrefcount(self._live) - self._nobody

    def keep(self, decision: RequestDecision, make: Callable[[str], object], *, failed: bool, slow: bool) -> None:
        """The request has ended: call `make` with the value of `REASON`, if there is one and room for it.

        Its calls go with it, kept or not.
        """
        calls, decision.calls = decision.calls, None
        failed = self._errors and (failed or decision.call_failed)
        if not failed and not slow:
            return
        if not self._admits(decision):
            self.dropped += 1
            return
        reason = decision.kept = "error" if failed else "slow"
        try:
            make(reason)
            self.kept += 1
        except Exception as problem:  # noqa: BLE001 (the request is over; it must not fail for its span)
            report_error("The span of a request that failed could not be kept", problem)
        if calls is not None:
            self.calls_dropped += calls.dropped
            self.incomplete += bool(calls.dropped)
            for note in calls.ended:
                self._make(note, reason)

    @staticmethod
    def _make(note: Keepable, reason: str) -> None:
        try:
            note.make(reason)
        except Exception as problem:  # noqa: BLE001 (as above)
            report_error("The span of a call of a request that failed could not be kept", problem)

    def _admits(self, decision: RequestDecision) -> bool:
        if decision.admitted is None:
            if self._counter is None:
                from tracebaton_configurator.sampling.rate_counter import RateCounter
                from tracebaton_configurator.sampling.rules import Rate

                self._counter = RateCounter(Rate(self._per_second, None))
            ot = decision.trace_state.get("ot") if decision.trace_state is not None else None
            decision.admitted = randomness_of(decision.trace_id, ot) >= self._counter.threshold(time.monotonic())
        return decision.admitted


def begin_call(
    tracer: Any, name: str, kind: SpanKind = SpanKind.CLIENT, *, context: Context | None = None
) -> CallNote | None:
    """A note of a call that is about to be made in `context`, by default the current one, where there is to be one.

    Never raises.
    """
    if context is None:
        context = get_current()
    request = notes_calls(context)
    span: Any = context.get(CURRENT_SPAN)
    if request is None or request.late_spans is None or span is None:
        return None
    try:
        return request.late_spans.begin_call(tracer, request, span.get_span_context(), name, kind)
    except Exception:  # noqa: BLE001 (a tracer of another provider's: the call is made as it is)
        return None


def note_error(span: Span, error: BaseException, timestamp: int | None = None) -> None:
    """Let the span say what was raised, as `trace.use_span` does. Never raises.

    An exception that has no text, which the SDK does not survive, still makes an ERROR.
    """
    try:
        span.record_exception(error, timestamp=timestamp)
    except Exception as failure:  # noqa: BLE001 (see `described`)
        report_error("An exception could not be recorded", failure)
    try:
        span.set_status(Status(StatusCode.ERROR, described(error)))
    except Exception as failure:  # noqa: BLE001 (a span of somebody else's)
        report_error("A span's status could not be set", failure)


def end_call(span: Span, error: BaseException | None = None, *, is_typed: bool = True) -> None:
    """End the span of a call, or the note of one, with what the client has raised. Never raises.

    `is_typed`: with `error.type`, which older semantic conventions do not have.
    """
    try:
        if isinstance(error, Exception):
            note_error(span, error)
            if is_typed:
                span.set_attribute("error.type", type(error).__qualname__)
        span.end()
    except Exception as problem:  # noqa: BLE001 (a span processor of the application's)
        report_error("The span of a call could not be ended", problem)


def sampled_context(unsampled: SpanContext, span_id: int = 0) -> SpanContext:
    """The same with the flag on, perhaps of another span.

    Less `th`: what is recorded for another reason than by chance stands for itself. `rv` stays.
    """
    return SpanContext(
        unsampled.trace_id,
        span_id or unsampled.span_id,
        is_remote=False,
        trace_flags=TraceFlags(unsampled.trace_flags | TraceFlags.SAMPLED),
        trace_state=_without_threshold(unsampled.trace_state),
    )


def _without_threshold(state: TraceState) -> TraceState:
    ot = state.get("ot")
    if ot is None or "th:" not in ot:
        return state
    rest = ";".join(member for member in ot.split(";") if not member.startswith("th:"))
    return state.update("ot", rest) if rest else state.delete("ot")


def start_late(decision: RequestDecision, span_context: SpanContext, start: Callable[[], Span]) -> Span:
    """What `start` makes, with the ids that the request had all along: recorded, whatever was decided."""
    # No `ot=th`: it was not chosen by chance, so it stands for itself and for no number of others.
    late = RequestDecision(
        decision.base,
        recorded=True,
        trace_id=span_context.trace_id,
        trace_state=_without_threshold(span_context.trace_state),
        span_id=span_context.span_id,
    )
    token = pending_decision.set(late)
    try:
        return start()
    finally:
        pending_decision.reset(token)
