"""The SERVER span of an unsampled request that turned out to matter, made when it has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from opentelemetry.trace import Link, SpanKind

from tracebaton_configurator.asgi.fast_path import parent_context
from tracebaton_configurator.asgi.guard import messages, set_close_code
from tracebaton_configurator.names import FIRST_BYTE
from tracebaton_configurator.sampling.late_spans import REASON, note_error, start_late

if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from typing import Any

    from opentelemetry.trace import Span, SpanContext

    from tracebaton_configurator.asgi.on_the_way import OnTheWay
    from tracebaton_configurator.asgi.span_attributes import SpanDetails
    from tracebaton_configurator.sampling.decision import RequestDecision
    from tracebaton_configurator.sampling.late_spans import LateSpans


class RequestOutcome(NamedTuple):
    """How a request ended: times in ns since the epoch, status 0 for none, what it raised or logged."""

    began: int
    ended: int
    status: int
    error: Exception | None
    failed: bool
    slow: bool
    way: OnTheWay | None


def keep(
    late_spans: LateSpans,
    details: SpanDetails,
    scope: MutableMapping[str, Any],
    decision: RequestDecision,
    span_context: SpanContext,
    outcome: RequestOutcome,
) -> None:
    """Make and end the SERVER span of a request that has ended, where `late_spans` wants it."""

    def make(reason: str) -> None:
        name, attributes = details.of(scope)
        attributes[REASON] = reason
        span = start_late(
            decision,
            span_context,
            lambda: details.tracer.start_span(
                name,
                context=parent_context(decision),
                kind=SpanKind.SERVER,
                attributes=attributes,
                start_time=outcome.began,
                links=[Link(decision.untrusted_parent)] if decision.untrusted_parent is not None else None,
            ),
        )
        if outcome.way is not None:
            _say(span, outcome.way, scope["type"])
        error = outcome.error
        if error is not None:
            note_error(span, error, outcome.ended)
        if outcome.status:
            from tracebaton_configurator.asgi.upstream_asgi import set_status

            set_status(span, outcome.status, details.mode)
        error_type = details.error_type(error) if error is not None else None
        if error_type is not None:
            span.set_attribute("error.type", error_type)
        span.end(outcome.ended)

    late_spans.keep(decision, make, failed=outcome.failed, slow=outcome.slow)


def _say(span: Span, way: OnTheWay, kind: str) -> None:
    if way.first_byte:
        span.add_event(FIRST_BYTE, timestamp=way.first_byte)
    if way.left:
        from tracebaton_configurator.asgi.disconnects import DISCONNECTED

        span.add_event(DISCONNECTED, timestamp=way.left)
    if kind == "websocket":
        span.set_attributes(messages(way.received, way.sent))
        code = way.close_code or way.client_code
        if code:
            set_close_code(span, code, by_us=bool(way.close_code))
