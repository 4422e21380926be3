"""What is worth saying of an answer that is streamed, or of a WebSocket, before it ends.

The first byte of the body that was sent is an event, by the name under which the instrumentations of clients have it;
OpenTelemetry's semantic conventions have none, and `http.response` is their name space. A connection that is open for
long is shown by a short span of its own: spans are exported when they have ended, which its SERVER span has not.
"""

from __future__ import annotations

import sys
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any

from opentelemetry import context as context_api
from opentelemetry.trace import SpanKind, set_span_in_context

from tracebaton_configurator.logs.diagnostics import report_error

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from opentelemetry.trace import Tracer

    Message = MutableMapping[str, Any]

OPEN_AFTER = 10.0
"""Seconds."""
_SHOWN = ("http.request.method", "http.method", "http.route")


def begins_stream(method: str, start: Message | None, message: Message) -> bool:
    """Whether this `http.response.body`, after which more comes, has the first byte of an answer in more than one part.

    `method` is that of its request, and `start` its `http.response.start`. To HEAD no server sends a body. Starlette's
    BaseHTTPMiddleware sends every answer in two messages, of which the second one is empty: an answer whose whole
    length is in the first is none that is streamed.
    """
    body = message.get("body")
    if not body or method == "HEAD":
        return False
    length = header(start, b"content-length")
    return length is None or length != str(len(body)).encode()


def is_event_stream(start: Message) -> bool:
    """Whether what follows are server-sent events, of which the first may be long in coming."""
    headers = start.get("headers")
    if type(headers) is list and headers and headers[0][0] == b"content-length":  # Starlette's ordinary answers
        return False
    kind = header(start, b"content-type")
    return kind is not None and kind.startswith(b"text/event-stream")


def header(start: Message | None, name: bytes) -> bytes | None:
    """The value of a header of an answer; None as well where the headers could be read only once."""
    headers = start.get("headers") if start is not None else None
    if type(headers) is list or type(headers) is tuple:
        for key, value in headers:
            if key == name or (len(key) == len(name) and key.lower() == name):
                return bytes(value)
    return None


def show_open_later(span: Any, tracer: Tracer | None) -> Any:
    """Have a span below the SERVER span `span` say that it is open, unless what is returned is cancelled before.

    None where no asyncio loop runs. Never raises.
    """
    asyncio = sys.modules.get("asyncio")
    if asyncio is None or tracer is None:
        return None
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return None
    try:
        # By way of the arguments, which a handle that is cancelled lets go of, as it does not of its context.
        return loop.call_later(OPEN_AFTER, copy_context().run, _show_open, span, tracer, context=Context())
    except Exception as error:  # noqa: BLE001 (a loop of somebody's own, or one that is being closed)
        report_error("A connection cannot be shown while it is open", error)
        return None


def _show_open(span: Any, tracer: Tracer) -> None:
    try:
        if not span.is_recording():
            return
        known = span.attributes
        tracer.start_span(
            f"{span.name} (open)",
            context=set_span_in_context(span, context_api.get_current()),
            kind=SpanKind.INTERNAL,
            attributes={name: known[name] for name in _SHOWN if name in known},
            start_time=span.start_time,
        ).end()
    except Exception as error:  # noqa: BLE001 (a span processor of the application's, say)
        report_error("A connection that is open could not be shown", error)
