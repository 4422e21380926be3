"""Unsampled requests: a non-recording span context, a watch on how they end, and nothing else.

And those of a process whose tracing has been switched off, which have not even these.
"""

from __future__ import annotations

from time import monotonic, monotonic_ns, time_ns
from typing import TYPE_CHECKING, Any

from opentelemetry.context import Context

from tracebaton_configurator.asgi.guard import FAILURE_CODES
from tracebaton_configurator.logs.diagnostics import report_error
from tracebaton_configurator.logs.ids import current_request, remember_ids
from tracebaton_configurator.logs.upstream import attach, detach, get_current
from tracebaton_configurator.sampling.decision import unsampled_context
from tracebaton_configurator.sampling.sampler import Untraced
from tracebaton_configurator.sampling.upstream import SUPPRESS_INSTRUMENTATION

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from tracebaton_configurator.asgi.fast_path import FastPath
    from tracebaton_configurator.asgi.on_the_way import OnTheWay
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
    token = attach(unsampled_context(decision, span_context))
    decision.span_context = span_context
    current_request.set(decision)
    late_spans.watch(decision)
    # The time that it takes is no difference of wall clocks, which may jump.
    began, started = time_ns(), monotonic_ns()
    ended = 0
    # Routing writes both: a mounted application is another one, below another root.
    owner, root_path = scope.get("app"), scope.get("root_path", "")
    start: Message | None = None
    way: OnTheWay | None = None  # few requests have one, and each variable that is shared costs all of them

    # No coroutine of its own: what it returns is awaited in its place.
    def watched(message: Message) -> Awaitable[None]:
        nonlocal ended, start, way
        try:
            kind = message["type"]
            if kind == "http.response.start":
                start = message
            elif (kind == "http.response.body" and not message.get("more_body")) or kind == "http.response.pathsend":
                now = monotonic_ns()
                ended = began + now - started  # what comes after it, background tasks, is not the request
                decision.answered = now / 1e9  # of the same clock as `monotonic`
            else:
                way = way or _new_way()
                way.send(decision.method, message, start, began + monotonic_ns() - started)
        except Exception as failure:  # noqa: BLE001 (what is wrong with a message is for the server to say)
            report_error("A response could not be read", failure)
        return send(message)

    async def receive_watched() -> Message:
        nonlocal way
        message = await receive()
        try:
            if message["type"] != "http.request" and not ended:
                way = way or _new_way()
                way.receive(message, start, began + monotonic_ns() - started)
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
        detach(token)
        decision.answered = decision.answered or monotonic()
        now = ended or began + monotonic_ns() - started
        status = _status_of(start) if start is not None else 0
        left = error is not None and _is_consequence(error, send)
        if left:
            error = None
            way = way or _new_way()
            way.leave(now)
        if way is None:
            failed = error is not None or status >= 500
            slow = late_spans.is_slow(began, ended)
        else:
            status = 0 if way.unseen else way.status or status
            failed = error is not None or (not left and (status >= 500 or way.close_code in FAILURE_CODES))
            # A client that would not wait for the first byte any longer has waited for so long.
            until = ended or (way.left if scope["type"] == "http" else 0)
            slow = late_spans.is_slow(began, until, way.first_byte)
        if decision.failed and not failed:
            failed = decision.error is None or not _is_consequence(decision.error, send)
        if (failed or slow or decision.call_failed) and not decision.excluded:
            from tracebaton_configurator.asgi.late_spans import RequestOutcome, keep

            as_it_came = {**scope, "app": owner, "root_path": root_path}
            error = (error or decision.error) if failed else None
            outcome = RequestOutcome(began, now, status, error, failed, slow, way)
            keep(late_spans, details, as_it_came, decision, span_context, outcome)
        decision.ended = True
        decision.calls = None
        error = decision.error = None  # or it would be held by the frame in its own traceback


def _status_of(start: Message) -> int:
    """Of an answer; 0 for what is no status."""
    try:
        return int(start["status"])
    except (KeyError, TypeError, ValueError):
        return 0


# A start needs none of what follows, and most requests do not.


def _new_way() -> OnTheWay:
    from tracebaton_configurator.asgi.on_the_way import OnTheWay

    return OnTheWay()


def _is_consequence(error: BaseException, send: Callable[[Message], Awaitable[None]]) -> bool:
    from tracebaton_configurator.asgi.disconnects import is_consequence

    return is_consequence(error, send)


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
    token = attach(Context({**get_current(), SUPPRESS_INSTRUMENTATION: suppressed}))
    try:
        await app(scope, receive, send)
    finally:
        detach(token)
        if untraced is not None:
            untraced.ended = True
