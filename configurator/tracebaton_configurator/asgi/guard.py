"""What goes wrong here while a request is served stays here: it is said once a minute, and the request goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.trace import Status, StatusCode

from tracebaton_configurator.logs.diagnostics import report_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.trace import Span

# The semantic conventions have no name for it, nor for how many messages there were; those are in use elsewhere.
_CLOSE_CODE = "websocket.close_code"
# What a server says that fails, as it says HTTP's 5xx elsewhere: internal error, try again later, bad gateway.
FAILURE_CODES = frozenset((1011, 1013, 1014))
# RFC 6455, section 7.4.1: there was no closing handshake.
ABNORMAL = 1006


def end(span: Span) -> None:
    """End a span, once. Never raises, whatever a span processor of the application's does."""
    try:
        if span.is_recording():
            span.end()
    except Exception as failure:  # noqa: BLE001 (see above)
        report_error("A span could not be ended", failure)


def set_close_code(span: Span, code: int, *, by_us: bool) -> None:
    """A client that goes away, or finds fault, is no failure of ours."""
    span.set_attribute(_CLOSE_CODE, code)
    if by_us and code in FAILURE_CODES:
        span.set_status(Status(StatusCode.ERROR))


def messages(received: int, sent: int) -> dict[str, int]:
    """The attributes of a WebSocket by which so many messages came and went."""
    return {"websocket.messages_received": received, "websocket.messages_sent": sent}


def or_uninstrumented(instrument: Callable[[Any], object], app: Any) -> None:
    """An application is made, whatever comes of instrumenting it."""
    try:
        instrument(app)
    except Exception as failure:  # noqa: BLE001 (see above)
        report_error("An application could not be instrumented and is served untraced", failure)
