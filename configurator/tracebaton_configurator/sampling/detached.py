"""What still runs long after its request was answered has left it, and its spans begin traces of their own.

See `OTEL_TRACEBATON_DETACH_AFTER`. A span of its own that such work has open stays what it works in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.context import Context
from opentelemetry.sdk.trace import Tracer, TracerProvider
from opentelemetry.trace import Link, NonRecordingSpan, SpanKind, get_current_span

from tracebaton_configurator.logs.ids import current_request, is_detached
from tracebaton_configurator.logs.upstream import get_current
from tracebaton_configurator.sampling.caller import caller_for
from tracebaton_configurator.sampling.current_span import CurrentSpan
from tracebaton_configurator.sampling.decision import UNSAMPLED, RequestDecision, pending_decision
from tracebaton_configurator.sampling.light_span import can_be_light, start_light
from tracebaton_configurator.sampling.upstream import CURRENT_SPAN, SUPPRESS_INSTRUMENTATION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.trace import Span, SpanContext
    from opentelemetry.util.types import Attributes

_CALLS = (SpanKind.CLIENT, SpanKind.PRODUCER)
_OF_THE_REQUEST = frozenset((CURRENT_SPAN, SUPPRESS_INSTRUMENTATION, UNSAMPLED))


def left_request(context: Context | None = None) -> SpanContext | None:
    """The span context of the request that the work in `context`, by default the current one, has left."""
    request = current_request.get()
    if request is None or not request.answered or request.span_context is None or not is_detached(request):
        return None
    span = get_current_span(context)
    found = span.get_span_context()
    # A remote one is what a message says that has come since.
    left = found.trace_id == request.span_context.trace_id and not found.is_remote and not span.is_recording()
    return request.span_context if left else None


class DetachingTracer(Tracer):
    """The SDK's, whose spans do not stay children of a request that was left; those of a process that was started
    within a call are that call's children.

    Below a request that is not recorded, a call is noted where its `late_spans` want that, with an id of its own. Any
    other span has the ids of what it is in: what is called names those as its parent, which are there if both are kept
    after all.
    """

    def start_span(
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes = None,
        links: Sequence[Link] | None = (),
        *args: Any,
        **kwargs: Any,
    ) -> Span:
        left = left_request(context)
        of_now = get_current() if context is None else context
        if left is None and (request := of_now.get(UNSAMPLED)):
            decision = pending_decision.get()
            parent = get_current_span(of_now).get_span_context()
            if parent.is_valid and (decision is None or decision.consumed):
                if kind not in _CALLS or not isinstance(request, RequestDecision):
                    return NonRecordingSpan(parent)
                if request.late_spans is None or request.ended:
                    return NonRecordingSpan(parent)
                start_time = args[0] if args else kwargs.get("start_time")
                note = request.late_spans.begin_call(self, request, parent, name, kind, attributes, links, start_time)
                return note or NonRecordingSpan(parent)
        if left is not None:
            context = Context({key: value for key, value in of_now.items() if key not in _OF_THE_REQUEST})
            links = (*(links or ()), Link(left))
        elif (caller := caller_for(kind, context)) is not None:
            if caller.is_followed():
                context = Context({**get_current(), CURRENT_SPAN: NonRecordingSpan(caller.span_context)})
            else:
                links = (*(links or ()), Link(caller.span_context))
        queues = getattr(self.span_processor, "queues", None)
        if queues and can_be_light():
            # Which asks for the current context no more.
            context = of_now if context is None else context
            return start_light(self, queues, name, context, kind, attributes, links, *args, **kwargs)
        return super().start_span(name, context, kind, attributes, links, *args, **kwargs)

    def start_as_current_span(  # type: ignore[override]
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes = None,
        links: Sequence[Link] | None = (),
        start_time: int | None = None,
        record_exception: bool = True,  # noqa: FBT001, FBT002
        set_status_on_exception: bool = True,  # noqa: FBT001, FBT002
        end_on_exit: bool = True,  # noqa: FBT001, FBT002
    ) -> CurrentSpan:
        given = (name, context, kind, attributes, links, start_time, record_exception, set_status_on_exception)
        return CurrentSpan(
            lambda: self.start_span(*given),
            lambda: Tracer.start_as_current_span(self, *given, end_on_exit),
            record_exception=record_exception,
            set_status_on_exception=set_status_on_exception,
            end_on_exit=end_on_exit,
        )


class DetachingTracerProvider(TracerProvider):
    """The SDK's, which makes such tracers."""

    def get_tracer(self, *args: Any, **kwargs: Any) -> Any:
        tracer = super().get_tracer(*args, **kwargs)
        if type(tracer) is Tracer:  # the SDK itself says which class it makes
            tracer.__class__ = DetachingTracer
        return tracer
