"""A server with a thread for each connection, of which there are so many: who hangs makes room for others."""

from __future__ import annotations

import socket
import socketserver
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tracebaton.view.access import Access
    from tracebaton.view.budget import Budget
    from tracebaton.view.intake import Intake

__all__ = ["Connection", "ConnectionServer", "Connections", "Limits"]

# From then on a request that is not complete is a slow one, which goes before connections that rest between requests.
_SLOW_AFTER = 1.0


@dataclass(frozen=True)
class Limits:
    max_body: int = 16 * 1024 * 1024
    """Bytes of a request, before and after decompression."""
    max_connections: int = 128
    request_seconds: float = 10.0
    """From a request's first byte to its last; for the first one, from when the connection was made."""
    idle_seconds: float = 60.0
    """Between two requests."""
    send_seconds: float = 5.0
    """For an answer to be taken."""


class Connection:
    """What has to be known of a client's connection to choose the one that makes room."""

    def __init__(self, socket_: socket.socket) -> None:
        self.socket = socket_
        self.since = time.monotonic()
        self.resting = False
        """Between two requests, `since` then; else its request has been arriving `since` then."""
        self.busy = False
        """Its request is being decoded: it waits for us and not we for it."""

    def rest(self) -> None:
        self.resting, self.since = True, time.monotonic()

    def receive(self) -> None:
        if self.resting:
            self.resting, self.since = False, time.monotonic()

    def drop(self) -> None:
        """End it: its thread reads the end of the stream."""
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)


class Connections:
    """Those that are open. Thread-safe."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: dict[socket.socket, Connection] = {}
        self._leaving: set[socket.socket] = set()
        self._lock = threading.Lock()

    def enter(self, socket_: socket.socket) -> bool:
        """Take it in, for which another one may have to go; False where no other one is to blame."""
        with self._lock:
            if len(self._open) >= self._most:
                now = time.monotonic()
                victim = min(
                    (one for one in self._open.values() if not one.busy), key=lambda one: _rank(one, now), default=None
                )
                if victim is None or len(self._leaving) >= self._most:
                    return False
                del self._open[victim.socket]
                self._leaving.add(victim.socket)
                victim.drop()
            self._open[socket_] = Connection(socket_)
            return True

    def leave(self, socket_: socket.socket) -> None:
        with self._lock:
            self._open.pop(socket_, None)
            self._leaving.discard(socket_)

    def of(self, socket_: socket.socket) -> Connection:
        with self._lock:
            return self._open.get(socket_) or Connection(socket_)  # the latter where it has to go already

    def any_busy(self) -> bool:
        with self._lock:
            return any(one.busy for one in self._open.values())


def _rank(connection: Connection, now: float) -> tuple[bool, float]:
    slow = not connection.resting and now - connection.since > _SLOW_AFTER
    return not slow, connection.since


class ConnectionServer(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Hands each connection to the handler class in a thread of its own; call `serve_forever` in one too."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False  # a hanging client does not delay the end
    request_queue_size = 128
    no_room = b""
    """What a client reads for whom there is no room."""

    def __init__(
        self,
        address: tuple[Any, ...],
        family: socket.AddressFamily,
        handler: type[socketserver.BaseRequestHandler],
        *,
        intake: Intake,
        access: Access,
        budget: Budget,
        limits: Limits,
    ) -> None:
        """Bind and listen; raises OSError."""
        self.address_family = family
        self.intake = intake
        self.access = access
        self.budget = budget
        self.limits = limits
        self.connections = Connections(limits.max_connections)
        super().__init__(address, handler)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self.connections.enter(request):
            request.setblocking(False)  # noqa: FBT003
            with suppress(OSError):
                request.sendall(self.no_room)
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self.connections.leave(request)
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.connections.leave(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client that goes away is its own affair; anything else is a defect of ours and gets its traceback.
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)

    def stop(self, grace: float) -> None:
        """Take no new connections, and give the requests that are being decoded `grace` seconds."""
        self.shutdown()
        self.server_close()
        deadline = time.monotonic() + grace
        while self.connections.any_busy() and time.monotonic() < deadline:
            time.sleep(0.01)
