"""Unsampled requests: a non-recording span context, a watch on how they end, and nothing else.

And those of a process whose tracing has been switched off, which have not even these.
"""

from __future__ import annotations

from time import monotonic, monotonic_ns, time_ns
from typing import TYPE_CHECKING, Any

from opentelemetry import context as context_api
from opentelemetry.context import Context

from tracebaton_configurator.asgi.disconnects import is_consequence
from tracebaton_configurator.asgi.guard import ABNORMAL, FAILURE_CODES
from tracebaton_configurator.asgi.late_spans import OnTheWay, RequestOutcome, keep
from tracebaton_configurator.asgi.streams import begins_stream
from tracebaton_configurator.logs.diagnostics import report_error
from tracebaton_configurator.logs.ids import current_request, remember_ids
from tracebaton_configurator.sampling.decision import unsampled_context
from tracebaton_configurator.sampling.late_spans import is_failure
from tracebaton_configurator.sampling.sampler import Untraced
from tracebaton_configurator.sampling.upstream import SUPPRESS_INSTRUMENTATION

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from tracebaton_configurator.asgi.fast_path import FastPath
    from tracebaton_configurator.asgi.span_attributes import SpanDetails
    from tracebaton_configurator.sampling.decision import RequestDecision
    from tracebaton_configurator.sampling.late_spans import LateSpans
    from tracebaton_configurator.sampling.sampler import WhileOff

    Message = MutableMapping[str, Any]


async def pass_unsampled(
    app: Callable[..., Awaitable[None]],
    scope: MutableMapping[str, Any],
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
    decision: RequestDecision,
    fast_path: FastPath,
    late_spans: LateSpans,
    details: SpanDetails,
) -> None:
    """Run `app` for a request that gets no span, unless it ends in a way that `late_spans` wants to record."""
    span_context = fast_path.non_recording_span_context(decision)
    token = context_api.attach(unsampled_context(decision, span_context))
    decision.span_context = span_context
    current_request.set(decision)
    # The time that it takes is no difference of wall clocks, which may jump.
    began, started = time_ns(), monotonic_ns()
    ended = first_byte = left = 0
    # Routing writes both: a mounted application is another one, below another root.
    owner, root_path = scope.get("app"), scope.get("root_path", "")
    status = close_code = client_code = received = sent = 0
    start: Message | None = None

    # No coroutine of its own: what it returns is awaited in its place.
    def watched(message: Message) -> Awaitable[None]:
        nonlocal status, ended, close_code, start, first_byte, sent
        try:
            kind = message["type"]
            if kind == "http.response.start":
                start = message
                status = int(message["status"])
                if left:  # nobody gets it
                    status = 0
            elif kind == "http.response.body":
                if not message.get("more_body"):
                    ended = began + monotonic_ns() - started  # what comes after it, background tasks, is not it
                    decision.answered = monotonic()
                elif not first_byte and begins_stream(start, message):
                    first_byte = began + monotonic_ns() - started
            elif kind == "websocket.send":
                sent += 1
            elif kind == "http.response.pathsend":
                ended = began + monotonic_ns() - started
            elif kind == "websocket.close":
                close_code = int(message.get("code") or 1000)
            elif kind == "websocket.http.response.start":
                status = int(message["status"])
        except Exception as failure:  # noqa: BLE001 (what is wrong with a message is for the server to say)
            report_error("A response could not be read", failure)
        return send(message)

    async def receive_watched() -> Message:
        nonlocal left, received, client_code
        message = await receive()
        try:
            kind = message["type"]
            if kind == "websocket.receive":
                received += 1
            elif kind == "http.disconnect":
                if not ended and not left:
                    left = began + monotonic_ns() - started
            elif kind == "websocket.disconnect" and not close_code:
                client_code = int(message.get("code") or 1005)
                if client_code == ABNORMAL:
                    left = began + monotonic_ns() - started
        except Exception as failure:  # noqa: BLE001 (as above)
            report_error("A request could not be read", failure)
        return message

    error: Exception | None = None
    try:
        await app(scope, receive_watched, watched)
    except Exception as raised:
        error = raised
        remember_ids(raised)
        raise
    finally:
        context_api.detach(token)
        decision.answered = decision.answered or monotonic()
        now = ended or began + monotonic_ns() - started
        if error is not None and is_consequence(error, send):
            error, failed = None, False
            left = left or (0 if client_code else now)
        else:
            failed = error is not None or status >= 500 or close_code in FAILURE_CODES
        if decision.failed and not failed:
            failed = decision.error is None or not is_consequence(decision.error, send)
        # A client that would not wait for the first byte any longer has waited for so long.
        slow = late_spans.is_slow(began, ended or (left if scope["type"] == "http" else 0), first_byte)
        if (failed or slow) and not decision.excluded:
            as_it_came = {**scope, "app": owner, "root_path": root_path}
            error = (error or decision.error) if failed else None
            outcome = RequestOutcome(began, now, status, error, failed, slow, close_code)
            on_the_way = OnTheWay(first_byte, left, client_code, received, sent)
            keep(late_spans, details, as_it_came, decision, span_context, outcome, on_the_way)
        decision.ended = True
        error = decision.error = None  # or it would be held by the frame in its own traceback


async def pass_untraced(
    app: Callable[..., Awaitable[None]],
    scope: MutableMapping[str, Any],
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
    while_off: WhileOff | None = None,
) -> None:
    """Run `app` as if nothing were traced in this process: no ids, no headers to other services.

    `while_off` where that is so because tracing is switched off.
    """
    untraced = Untraced(while_off) if while_off is not None else None
    suppressed = True if untraced is None else untraced
    token = context_api.attach(Context({**context_api.get_current(), SUPPRESS_INSTRUMENTATION: suppressed}))
    try:
        await app(scope, receive, send)
    finally:
        context_api.detach(token)
        if untraced is not None:
            untraced.ended = True
