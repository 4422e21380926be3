"""Requests whose span somebody else makes: upstream's middleware as it is, or FastAPI itself.

They read the headers once more, ask the sampler and the id generator, and so come upon the pending decision. Unsampled
requests go this way, too, where every one is counted.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

from opentelemetry import context as context_api
from opentelemetry.trace import SpanContext, TraceFlags, format_span_id, format_trace_id, get_current_span

from tracebaton_configurator.asgi.streams import begins_stream, show_open_later
from tracebaton_configurator.logs.diagnostics import report_error
from tracebaton_configurator.logs.ids import Ids, current_request, remember_ids
from tracebaton_configurator.names import FIRST_BYTE
from tracebaton_configurator.propagation.incoming import tracer
from tracebaton_configurator.propagation.w3c.propagator import refuse_callers
from tracebaton_configurator.sampling.decision import pending_decision

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from tracebaton_configurator.asgi.fast_path import FastPath
    from tracebaton_configurator.sampling.decision import RequestDecision

    Message = MutableMapping[str, Any]


async def record_by(
    app: Callable[..., Awaitable[None]],
    scope: MutableMapping[str, Any],
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
    decision: RequestDecision,
    fast_path: FastPath,
) -> None:
    """Run `app`, which makes the span of this request, recording or not, with the decision at hand."""
    span_id = decision.span_id = fast_path.span_id()
    pending = pending_decision.set(decision)
    refusal = refuse_callers(lambda: not decision.consumed) if decision.untrusted_parent is not None else None
    token = context_api.attach(decision.base)
    linked = decision.untrusted_parent is None
    complete = left = streams = False
    start: Message | None = None
    server: Any = None
    timer: Any = None
    decision.span_context = SpanContext(
        decision.trace_id, span_id, is_remote=False, trace_flags=TraceFlags(int(decision.recorded))
    )
    current_request.set(decision)

    def server_span() -> Any:
        """The SERVER span that somebody has made, where it has been current here; the application has spans, too."""
        nonlocal server
        if server is None:
            span = get_current_span()
            server = span if span.is_recording() and span.get_span_context().span_id == span_id else None
        return server

    def leave(error: BaseException | None = None) -> None:
        nonlocal left
        if not left and server_span() is not None:
            left = True
            from tracebaton_configurator.asgi.disconnects import note_disconnect

            note_disconnect(server, send, error)

    async def receive_watched() -> Message:
        message = await receive()
        try:
            kind = message["type"]
            if kind == "http.disconnect" and not complete:
                leave()
            elif kind == "websocket.disconnect" and server_span() is not None:
                from tracebaton_configurator.asgi.disconnects import excuse

                excuse(server, send)
        except Exception as failure:  # noqa: BLE001 (what is wrong with a message is for the server to say)
            report_error("A request could not be read", failure)
        return message

    async def watched(message: Message) -> None:
        nonlocal complete, linked, start, streams, timer
        if not linked:
            linked = True
            try:
                span = get_current_span()
                if decision.untrusted_parent is not None and hasattr(span, "add_link"):
                    span.add_link(decision.untrusted_parent)
            except Exception as failure:  # noqa: BLE001 (the answer has nothing to do with it)
                report_error("A span could not be linked", failure)
        try:
            kind = message["type"]
            if kind == "http.response.start":
                start = message
            elif kind == "http.response.body":
                if not message.get("more_body"):
                    complete = True
                    decision.answered = monotonic()
                elif not (streams or left) and begins_stream(decision.method, start, message):
                    streams = True
                    if server_span() is not None:
                        server.add_event(FIRST_BYTE)
            elif kind == "http.response.pathsend":
                complete = True
            if timer is None and (streams or kind == "websocket.accept") and not complete and server_span() is not None:
                timer = show_open_later(server, tracer())
        except Exception as failure:  # noqa: BLE001 (what is wrong with a message is for the server to say)
            report_error("A response could not be read", failure)
        try:
            await send(message)
        except OSError as error:
            leave(error)
            raise

    try:
        await app(scope, receive_watched, watched)
    except Exception as raised:
        remember_ids(
            raised,
            Ids(format_trace_id(decision.trace_id), format_span_id(span_id), "01" if decision.recorded else "00"),
        )
        raise
    finally:
        context_api.detach(token)
        decision.answered = decision.answered or monotonic()
        if timer is not None:
            timer.cancel()
        if refusal is not None:
            refusal()
        pending_decision.reset(pending)
