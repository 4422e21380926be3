"""Sampled requests: the span that upstream's middleware would make, in fewer steps.

Follows `OpenTelemetryMiddleware.__call__` of opentelemetry-instrumentation-asgi 0.63b0 to 0.66b2, less what nobody
asked for: spans for ASGI events, hooks, captured headers, and the metrics that go nowhere. Where any of these is asked
for, `Recorder.of` declines and upstream's own middleware runs. `tests/configurator/asgi/test_same_spans.py` holds the
spans of both against each other.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanKind

from tracebaton_configurator.asgi.fast_path import parent_context
from tracebaton_configurator.asgi.guard import end
from tracebaton_configurator.asgi.streams import begins_stream, is_event_stream, show_open_later
from tracebaton_configurator.asgi.upstream_asgi import set_status
from tracebaton_configurator.logs.diagnostics import report_error
from tracebaton_configurator.logs.ids import current_request, remember_ids
from tracebaton_configurator.logs.upstream import attach, detach
from tracebaton_configurator.names import FIRST_BYTE
from tracebaton_configurator.sampling.decision import pending_decision
from tracebaton_configurator.sampling.late_spans import note_error
from tracebaton_configurator.sampling.upstream import CURRENT_SPAN

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from opentelemetry.trace import Span

    from tracebaton_configurator.asgi.span_attributes import Details
    from tracebaton_configurator.asgi.websockets import WebSocketConnection
    from tracebaton_configurator.sampling.decision import RequestDecision

    Message = MutableMapping[str, Any]


class Recorder:
    """Runs the application below upstream's middleware in a span."""

    def __init__(self, middleware: Any, details: Details) -> None:
        self._inner = middleware.app
        self._details = details

    @classmethod
    def of(cls, middleware: Any, details: Details) -> Recorder | None:
        """The recorder in place of `middleware`, or None where that one does something that this one does not."""
        try:
            does_more = (
                middleware.server_request_hook
                or middleware.client_request_hook
                or middleware.client_response_hook
                or middleware.http_capture_headers_server_request
                or middleware.http_capture_headers_server_response
                or not middleware.exclude_receive_span
                or not middleware.exclude_send_span
            )
            return None if does_more else cls(middleware, details)
        except AttributeError:  # another version, with other names: what it does is not known
            return None

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
        decision: RequestDecision,
    ) -> None:
        span = self._start(scope, decision)
        if span is None:
            await self._inner(scope, receive, send)
            return

        exchange: WebSocketConnection | SampledResponse
        if scope["type"] == "websocket":
            from tracebaton_configurator.asgi.websockets import WebSocketConnection

            exchange = WebSocketConnection(span, self._details, receive, send)
        else:
            exchange = SampledResponse(span, self._details, decision, receive, send)
        decision.span_context = span.get_span_context()
        current_request.set(decision)
        token = attach(Context({**parent_context(decision), CURRENT_SPAN: span}))
        try:
            await self._inner(scope, exchange.receive, exchange.send)
        except Exception as error:
            remember_ids(error)
            if span.is_recording():
                from tracebaton_configurator.asgi.disconnects import is_consequence

                if is_consequence(error, send):
                    exchange.leave(error)
                else:
                    note_error(span, error)
            raise
        finally:
            detach(token)
            decision.answered = decision.answered or monotonic()
            exchange.finish()
            end(span)

    def _start(self, scope: MutableMapping[str, Any], decision: RequestDecision) -> Span | None:
        try:
            name, attributes = self._details.of(scope)
            token = pending_decision.set(decision)
            try:
                return self._details.tracer.start_span(
                    name,
                    context=parent_context(decision),
                    kind=SpanKind.SERVER,
                    attributes=attributes,
                    links=[Link(decision.untrusted_parent)] if decision.untrusted_parent is not None else None,
                )
            finally:
                pending_decision.reset(token)
        except Exception as error:  # noqa: BLE001 (a span processor of the application's, say)
            report_error("The span of a request could not be made", error)
            return None


class SampledResponse:
    """The answer to a request that has a span: the same `receive` and `send`, and what is told through them is noted.

    What is wrong with a message is for the server to say, to which it goes as it is.
    """

    # In the class: few answers change them.
    _start: Message | None = None
    _left = _streams = False
    _timer: Any = None

    def __init__(
        self,
        span: Span,
        details: Details,
        decision: RequestDecision,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        self._span = span
        self._details = details
        self._decision = decision
        self._receive = receive
        self._send = send
        self._complete = False

    async def receive(self) -> Message:
        message = await self._receive()
        try:
            if message["type"] == "http.disconnect" and not self._complete:
                self.leave()
        except Exception as error:  # noqa: BLE001 (see above)
            report_error("A request could not be read", error)
        return message

    async def send(self, message: Message) -> None:
        last = self._note(message)
        try:
            await self._send(message)
        except OSError as error:
            self.leave(error)
            raise
        if last:
            self._decision.answered = monotonic()
            if self._timer is not None:
                self.finish()
            end(self._span)

    def leave(self, error: BaseException | None = None) -> None:
        """The client has gone before the answer was complete."""
        if not self._left:
            self._left = True
            from tracebaton_configurator.asgi.disconnects import note_disconnect

            note_disconnect(self._span, self._send, error)

    def finish(self) -> None:
        """Never raises."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _note(self, message: Message) -> bool:
        """Note what the application answers; whether nothing comes after it. Never raises."""
        try:
            kind = message["type"]
            if kind == "http.response.body":
                if not message.get("more_body", False):
                    self._complete = True
                    return True
                if not (self._streams or self._left) and begins_stream(self._decision.method, self._start, message):
                    self._streams = True
                    self._span.add_event(FIRST_BYTE)
                    self._timer = self._timer or show_open_later(self._span, self._details.tracer)
            elif kind == "http.response.start":
                self._start = message
                if not self._left:  # nobody gets it
                    set_status(self._span, message["status"], self._details.mode)
                    if is_event_stream(message):
                        self._timer = show_open_later(self._span, self._details.tracer)
            elif kind == "http.response.pathsend":
                self._complete = True
        except Exception as error:  # noqa: BLE001 (see above)
            report_error("A response could not be read", error)
        return False
