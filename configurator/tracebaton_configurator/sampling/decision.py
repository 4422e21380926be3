"""What is decided about a request before its span exists, and how the SDK's sampler and id generator come upon it.

What else begins by something that arrived (a job, a message) is decided about, and found, in the same way.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

from opentelemetry.context import Context, create_key
from opentelemetry.trace import NonRecordingSpan

from tracebaton_configurator.logs.ids import is_detached
from tracebaton_configurator.sampling.upstream import (
    CURRENT_SPAN,
    SUPPRESS_HTTP_INSTRUMENTATION,
    SUPPRESS_INSTRUMENTATION,
)

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext, TraceState

    from tracebaton_configurator.sampling.call_notes import Calls
    from tracebaton_configurator.sampling.late_spans import LateSpans

# The decision, in the context of a request that is not recorded: nothing below it is, whatever a sampler would say.
UNSAMPLED = create_key("tracebaton-unsampled")


class RequestDecision:
    """Made once a request, by the root sampler or after its parent; the request's span is made as it says.

    * `recorded`: whether there is a span; `excluded`: whether there is none whatever happens;
    * `trace_id`, and `trace_state` of the span or of the non-recording span context;
    * `span_id`: of the span, 0 where the SDK may choose one;
    * `parent`: the span context to continue, None for a root;
    * `untrusted_parent`: that of a caller who is not trusted, to link to;
    * `random`: whether the low 56 bits of the trace id are (W3C Trace Context level 2);
    * `base`: the OpenTelemetry context that the request starts in: baggage and no span;
    * `learn`: whether the root sampler wants to know its route;
    * `method` and `path` by which it was made;
    * `answered`: when the answer was complete, in seconds of the monotonic clock; 0 before that;
    * `span_context`: that of the request, once it has one;
    * `consumed`: whether the SDK has made its span;
    * `failed`, in a way that the answer does not show, and the `error` with which;
    * `ended`: whether that is of no interest any more;
    * `late_spans`: who is to have notes of its calls, None where nobody is; `calls`: those that there are by now, and
      `call_failed` whether one of them failed, which the request itself may have survived, or went out sampled;
    * `admitted`: whether it is one of those that may be kept, None before that is known; `kept`: why it was, or empty.

    It is true for as long as what the request has started belongs to it.
    """

    __slots__ = (
        "admitted",
        "answered",
        "base",
        "call_failed",
        "calls",
        "consumed",
        "ended",
        "error",
        "excluded",
        "failed",
        "kept",
        "late_spans",
        "learn",
        "method",
        "parent",
        "path",
        "random",
        "recorded",
        "span_context",
        "span_id",
        "trace_id",
        "trace_state",
        "untrusted_parent",
    )

    def __init__(
        self, base: Context, *, recorded: bool, trace_id: int, trace_state: TraceState | None, span_id: int = 0
    ) -> None:
        self.base = base
        self.recorded = recorded
        self.trace_id = trace_id
        self.trace_state = trace_state
        self.span_id = span_id
        self.parent: SpanContext | None = None
        self.untrusted_parent: SpanContext | None = None
        self.excluded = False
        self.learn = False
        self.random = False
        self.consumed = self.failed = self.ended = self.call_failed = False
        self.error: Exception | None = None
        self.method = self.path = self.kept = ""
        self.answered = 0.0
        self.span_context: SpanContext | None = None
        self.late_spans: LateSpans | None = None
        self.calls: Calls | None = None
        self.admitted: bool | None = None

    def __bool__(self) -> bool:
        return not self.answered or not is_detached(self)

    def exclude(self) -> None:
        """Take the decision back: this request is not to be traced."""
        self.recorded = False
        self.excluded = True
        self.trace_state = self.parent.trace_state if self.parent is not None else None


def unsampled_context(decision: RequestDecision, span_context: SpanContext) -> Context:
    """What a request that is not recorded runs in: its ids, and no instrumentation that would make spans of no use."""
    return Context(
        {
            **decision.base,
            CURRENT_SPAN: NonRecordingSpan(span_context),
            SUPPRESS_INSTRUMENTATION: decision,
            UNSAMPLED: decision,
        }
    )


def hands_on_unsampled(context: Context) -> bool:
    """Whether a call made here hands on a trace that is not recorded; not where the application suppresses it."""
    decision = context.get(UNSAMPLED)
    if not decision or context.get(SUPPRESS_HTTP_INSTRUMENTATION):
        return False
    return context.get(SUPPRESS_INSTRUMENTATION) is decision


def notes_calls(context: Context) -> RequestDecision | None:
    """The request whose calls are to be noted here, if there is one; not where the application suppresses it."""
    decision = context.get(UNSAMPLED)
    if decision.__class__ is not RequestDecision or decision.late_spans is None or decision.ended:
        return None
    return decision if context.get(SUPPRESS_INSTRUMENTATION) is decision else None


# What the next span of its trace is made by. It is not in OpenTelemetry's own context: upstream's middleware starts
# from an empty one when it reads a request's headers. The span may be made in a task with a copy of these variables, so
# it is the decision that remembers whether it was consumed, and not the variable.
pending_decision: ContextVar[RequestDecision | None] = ContextVar("tracebaton-pending-decision", default=None)
