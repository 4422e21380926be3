"""How the span of a WebSocket ends: by its close code, or by the HTTP status of a handshake that was refused.

Upstream writes HTTP 200 for every message that is sent. https://www.iana.org/assignments/websocket/ has the codes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tracebaton_configurator.asgi.guard import set_close_code
from tracebaton_configurator.asgi.upstream_asgi import set_status_code
from tracebaton_configurator.logs.diagnostics import report_error

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from opentelemetry.trace import Span

    Message = MutableMapping[str, Any]

# ASGI: a connection that is closed before it was accepted is answered by HTTP 403.
_REFUSED = 403


def watched(
    span: Span, mode: Any, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> tuple[Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]]:
    """The same two; the span has what was told through them. What is wrong with a message is for the server to say."""
    state = {"accepted": False, "closed": False}

    def close(code: Any, *, by_us: bool) -> None:
        if state["closed"]:
            return
        state["closed"] = True
        set_close_code(span, int(code), by_us=by_us)
        if by_us and not state["accepted"]:
            set_status_code(span, _REFUSED, None, mode)

    def note(message: Message) -> None:
        try:
            kind = message["type"]
            if kind == "websocket.accept":
                state["accepted"] = True
            elif kind == "websocket.close":
                close(message.get("code") or 1000, by_us=True)
            elif kind == "websocket.disconnect":
                close(message.get("code") or 1005, by_us=False)
            elif kind == "websocket.http.response.start":
                set_status_code(span, int(message["status"]), None, mode)
        except Exception as error:  # noqa: BLE001 (see above)
            report_error("A message of a WebSocket could not be read", error)

    async def receive_noted() -> Message:
        message = await receive()
        note(message)
        return message

    def send_noted(message: Message) -> Awaitable[None]:
        note(message)
        return send(message)

    return receive_noted, send_noted
