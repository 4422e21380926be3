"""What happens to an unsampled request before its end and is worth remembering, in case it is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tracebaton_configurator.asgi.guard import ABNORMAL
from tracebaton_configurator.asgi.streams import begins_stream

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    Message = MutableMapping[str, Any]


class OnTheWay:
    """Of a streamed answer, a client that goes away, a WebSocket. Times are in ns since the epoch, 0 for never.

    * `first_byte`: when the first byte of a body in several parts was sent;
    * `left`: when the client had gone before it had its answer, `unseen` whether it was before that began;
    * `status`: of a WebSocket's handshake that was refused; 0 for none;
    * `close_code`: by which the application has closed a WebSocket, `client_code` by which the client has; 0 for none;
    * `received` and `sent`: messages of a WebSocket.
    """

    first_byte = left = status = close_code = client_code = received = sent = 0
    unseen = False

    def send(self, method: str, message: Message, start: Message | None, now: int) -> None:
        """Any message of the application's but the first and the last one of an answer; `start` is that first one."""
        kind = message["type"]
        if kind == "http.response.body":
            if not (self.first_byte or self.left) and begins_stream(method, start, message):
                self.first_byte = now
        elif kind == "websocket.send":
            self.sent += 1
        elif kind == "websocket.close":
            self.close_code = int(message.get("code") or 1000)
        elif kind == "websocket.http.response.start":
            self.status = int(message["status"])

    def receive(self, message: Message, start: Message | None, now: int) -> None:
        """Any message to the application but one with a request's body, before its answer is complete."""
        kind = message["type"]
        if kind == "websocket.receive":
            self.received += 1
        elif kind == "websocket.disconnect":
            if not (self.close_code or self.client_code):
                self.client_code = int(message.get("code") or 1005)
                if self.client_code == ABNORMAL:
                    self.left = now
        elif kind == "http.disconnect" and not self.left:
            self.left, self.unseen = now, start is None

    def leave(self, now: int) -> None:
        """The application has raised what it raises when its client has gone."""
        if not self.client_code:
            self.left = self.left or now
