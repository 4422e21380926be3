"""Takes up the trace context with which this process was started, and keeps what fails in an unsampled one; a forked
child has that of its parent.
"""

from __future__ import annotations

import atexit
import os
import sys
from time import monotonic
from typing import TYPE_CHECKING

from opentelemetry import context as context_api
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanContext, get_current_span

from tracebaton_configurator.logs.diagnostics import report_error
from tracebaton_configurator.logs.ids import current_request
from tracebaton_configurator.propagation.incoming import context_of
from tracebaton_configurator.sampling import caller
from tracebaton_configurator.sampling.caller import Caller
from tracebaton_configurator.sampling.decision import RequestDecision
from tracebaton_configurator.sampling.late_spans import REASON, is_failure, note_error, start_late
from tracebaton_configurator.sampling.sampler import WhileOff
from tracebaton_configurator.sampling.upstream import CURRENT_SPAN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.trace import Tracer
    from opentelemetry.util.types import AttributeValue

    from tracebaton_configurator.asgi.instrumentation import AsgiInstrumentation
    from tracebaton_configurator.sampling.sampler import TracebatonSampler

_known: tuple[Tracer, AsgiInstrumentation, WhileOff] | None = None


def begin(
    tracer: Tracer,
    sampler: TracebatonSampler,
    asgi: AsgiInstrumentation,
    headers: Mapping[str, str],
    called_at: float,
) -> None:
    """Called once tracing is up, with the headers of the process's environment, and when they were first seen."""
    global _known  # noqa: PLW0603 (what the process has)
    _known = tracer, asgi, WhileOff(sampler)
    _take_up(headers, trusted=asgi.fast_path.trust.trusts_own(), called_at=called_at)
    atexit.register(_keep_if_failed)
    os.register_at_fork(after_in_child=leave_parents_request)


def take_up(headers: Mapping[str, str]) -> None:
    """Let the process belong to the work of its own program that has started it."""
    _take_up(headers, trusted=True, called_at=monotonic())


def _take_up(headers: Mapping[str, str], *, trusted: bool, called_at: float) -> None:
    """Nothing where there is no valid trace context."""
    if _known is None:
        return
    _, _, while_off = _known
    found = context_of(headers)
    span_context = get_current_span(found).get_span_context()
    if span_context.is_valid:
        base = Context({name: value for name, value in found.items() if name != CURRENT_SPAN})
        caller.use(Caller(span_context, base, while_off, trusted=trusted, answered=called_at))


def _keep_if_failed() -> None:
    """Where an uncaught exception ends the process: the interpreter has noted it by the time this is called."""
    error = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
    of_process = caller.known_caller()
    if _known is None or of_process is None or not of_process.is_followed() or of_process.span_context.trace_flags & 1:
        return
    tracer, asgi, while_off = _known
    if while_off or not isinstance(error, BaseException) or not is_failure(error):
        return
    above = of_process.span_context
    own = SpanContext(above.trace_id, asgi.fast_path.span_id(), is_remote=False, trace_state=above.trace_state)
    decision = RequestDecision(Context(), recorded=False, trace_id=own.trace_id, trace_state=own.trace_state)

    def make(reason: str) -> None:
        # https://opentelemetry.io/docs/specs/semconv/cli/cli-spans/
        attributes: dict[str, AttributeValue] = {REASON: reason, "process.pid": os.getpid(), "process.exit.code": 1}
        context = Context({CURRENT_SPAN: NonRecordingSpan(above)})
        name = os.path.basename(sys.argv[0]) or "python"  # noqa: PTH119 (pathlib would be imported for this)
        span = start_late(
            decision,
            own,
            lambda: tracer.start_span(name, context, attributes=attributes, start_time=of_process.began),
        )
        note_error(span, error)
        span.set_attribute("error.type", type(error).__qualname__)
        span.end()

    asgi.late_spans.keep(decision, make, failed=True, slow=False)


def leave_parents_request() -> None:
    """The child works for the request as what outlives it does; the request's span is ended by the parent alone."""
    try:
        request = current_request.get()
        if request is not None and not request.answered:
            request.answered = monotonic()
        span = get_current_span()
        if span.is_recording():
            own = NonRecordingSpan(span.get_span_context())
            context_api.attach(Context({**context_api.get_current(), CURRENT_SPAN: own}))
    except Exception as error:  # noqa: BLE001 (the child goes on)
        report_error("The trace context of a forked child could not be set right", error)
