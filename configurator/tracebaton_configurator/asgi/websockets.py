"""How the span of a WebSocket ends: by its close code, or by the HTTP status of a handshake that was refused.

Upstream writes HTTP 200 for every message that is sent. https://www.iana.org/assignments/websocket/ has the codes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tracebaton_configurator.asgi.disconnects import excuse, note_disconnect
from tracebaton_configurator.asgi.guard import ABNORMAL, messages, set_close_code
from tracebaton_configurator.asgi.streams import show_open_later
from tracebaton_configurator.asgi.upstream_asgi import set_status
from tracebaton_configurator.logs.diagnostics import report_error

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from opentelemetry.trace import Span

    from tracebaton_configurator.asgi.span_attributes import SpanDetails

    Message = MutableMapping[str, Any]

# ASGI: a connection that is closed before it was accepted is answered by HTTP 403.
_REFUSED = 403


class WebSocketConnection:
    """One that has a span: the same `receive` and `send`, and the span has what was told through them.

    What is wrong with a message is for the server to say. `finish` is to be called before the span ends.
    """

    def __init__(
        self,
        span: Span,
        details: SpanDetails,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        self._span = span
        self._details = details
        self._receive = receive
        self._send = send
        self._accepted = self._closed = self._left = False
        self._received = self._sent = 0
        self._timer: Any = None

    async def receive(self) -> Message:
        message = await self._receive()
        self._note(message)
        return message

    async def send(self, message: Message) -> None:
        self._note(message)
        try:
            await self._send(message)
        except OSError as error:
            self.leave(error)
            raise

    def leave(self, error: BaseException | None = None) -> None:
        """The client has gone without a word, or so it seems."""
        if not self._left and not self._closed:
            self._left = True
            note_disconnect(self._span, self._send, error)

    def finish(self) -> None:
        """Never raises."""
        timer, self._timer = self._timer, None
        try:
            if timer is not None:
                timer.cancel()
            if self._accepted and self._span.is_recording():
                self._span.set_attributes(messages(self._received, self._sent))
        except Exception as error:  # noqa: BLE001 (a request does not fail for what its span says)
            report_error("The messages of a WebSocket could not be counted", error)

    def _note(self, message: Message) -> None:
        try:
            kind = message["type"]
            if kind == "websocket.receive":
                self._received += 1
            elif kind == "websocket.send":
                self._sent += 1
            elif kind == "websocket.accept":
                self._accepted = True
                self._timer = self._timer or show_open_later(self._span, self._details.tracer)
            elif kind == "websocket.close":
                self._close(int(message.get("code") or 1000), by_us=True)
            elif kind == "websocket.disconnect":
                self._disconnect(int(message.get("code") or 1005))
            elif kind == "websocket.http.response.start":
                set_status(self._span, int(message["status"]), self._details.mode)
        except Exception as error:  # noqa: BLE001 (see above)
            report_error("A message of a WebSocket could not be read", error)

    def _close(self, code: int, *, by_us: bool) -> None:
        if self._closed:
            return
        self._closed = True
        set_close_code(self._span, code, by_us=by_us)
        if by_us and not self._accepted:
            set_status(self._span, _REFUSED, self._details.mode)

    def _disconnect(self, code: int) -> None:
        if code == ABNORMAL:
            self.leave()
        excuse(self._span, self._send)
        self._close(code, by_us=False)
