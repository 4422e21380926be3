"""The private names of OpenTelemetry's API that this package uses, in this one place (and in `logs.upstream`).

Checked with API 1.42.0 to 1.45.2; its tests fail where one is gone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.baggage import _BAGGAGE_KEY as BAGGAGE
from opentelemetry.context import _SUPPRESS_HTTP_INSTRUMENTATION_KEY as SUPPRESS_HTTP_INSTRUMENTATION
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY as SUPPRESS_INSTRUMENTATION
from opentelemetry.trace import SpanContext, TraceFlags
from opentelemetry.trace.span import DEFAULT_TRACE_STATE

from tracebaton_configurator.logs.upstream import CURRENT_SPAN

if TYPE_CHECKING:
    from opentelemetry.trace import TraceState

__all__ = ["BAGGAGE", "CURRENT_SPAN", "SUPPRESS_HTTP_INSTRUMENTATION", "SUPPRESS_INSTRUMENTATION", "local_span_context"]

_new: Any = tuple.__new__
_MAX_TRACE_ID, _MAX_SPAN_ID = 2**128 - 1, 2**64 - 1


def local_span_context(trace_id: int, span_id: int, flags: TraceFlags, state: TraceState | None) -> SpanContext:
    """`SpanContext` of a span of this process, in fewer steps: it is a tuple. Ids of 0, as while off, are not valid."""
    if state is None:
        state = DEFAULT_TRACE_STATE
    is_valid = 0 < trace_id <= _MAX_TRACE_ID and 0 < span_id <= _MAX_SPAN_ID
    return _new(SpanContext, (trace_id, span_id, False, flags, state, is_valid))  # type: ignore[no-any-return]


_MADE = (1, 2, False, TraceFlags(1), DEFAULT_TRACE_STATE)
if tuple(SpanContext(*_MADE)) != (*_MADE, True):

    def local_span_context(trace_id: int, span_id: int, flags: TraceFlags, state: TraceState | None) -> SpanContext:
        """As OpenTelemetry makes it."""
        return SpanContext(trace_id, span_id, is_remote=False, trace_flags=flags, trace_state=state)
