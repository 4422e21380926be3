"""The port that clients see: passes bytes on to the server behind it, and does what is wrong with connections."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import suppress

from fault_kinds import Blackholed, CutRequest, Hanging, Healthy, Refused, Transport

HOST = "127.0.0.1"
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER for no time: close() sends RST


class Front:
    """One port for as long as the object lives, whoever listens on it. All methods may be called from any thread."""

    def __init__(self, backend: int) -> None:
        self._backend = backend
        # Bound, and never listening: the kernel gives the port to nobody else while we do not listen ourselves.
        self._reserved = _bound(0)
        self.port: int = self._reserved.getsockname()[1]
        self._lock = threading.RLock()
        self._connections: set[_Connection] = set()
        self._listening: list[socket.socket] = []
        self._state: Transport = Refused()
        self.become(Healthy())

    def become(self, state: Transport) -> None:
        """From now on. Connections that hung are reset; those that worked go on, hang or are reset as it says."""
        with self._lock:
            if state == self._state and not isinstance(state, CutRequest):
                return
            before, self._state = self._state, state
            if isinstance(state, Refused) or isinstance(before, (Hanging, Blackholed)):
                self.reset_all()
            for connection in list(self._connections):
                connection.obey(state)
            if isinstance(before, (Refused, Blackholed)) or isinstance(state, (Refused, Blackholed)):
                self._close_listeners()
                if isinstance(state, Blackholed):
                    self._listening = _full_backlog(self.port)
                elif not isinstance(state, Refused):
                    self._listen()

    def cut_answers(self) -> None:
        """Reset every connection in the middle of what comes next from the server."""
        with self._lock:
            for connection in self._connections:
                connection.cut_answer = True

    def reset_all(self) -> None:
        with self._lock:
            connections, self._connections = self._connections, set()
        for connection in connections:
            connection.reset()

    def close(self) -> None:
        self.become(Refused())
        self._reserved.close()

    def _listen(self) -> None:
        listener = _bound(self.port)
        listener.listen(128)
        self._listening = [listener]
        threading.Thread(target=self._accept, args=(listener,), name="fault-front", daemon=True).start()

    def _close_listeners(self) -> None:
        for one in self._listening:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)  # wakes the thread in accept()
            one.close()
        self._listening = []

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                if listener not in self._listening:
                    _reset(client)
                    return
                connection = _Connection(client, self._backend)
                self._connections.add(connection)
                connection.obey(self._state)
            connection.start()


class _Connection:
    """A client's connection and ours to the server, and two threads that carry bytes."""

    def __init__(self, client: socket.socket, backend: int) -> None:
        self._client = client
        self._server = socket.create_connection((HOST, backend))
        for one in (self._client, self._server):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._flows = threading.Event()
        self._allowed: int | None = None
        self.cut_answer = False

    def start(self) -> None:
        for carry in (self._requests, self._answers):
            threading.Thread(target=carry, name="fault-front-connection", daemon=True).start()

    def obey(self, state: Transport) -> None:
        self._allowed = state.after if isinstance(state, CutRequest) else None
        if isinstance(state, (Hanging, Blackholed)):
            self._flows.clear()
        else:
            self._flows.set()

    def reset(self) -> None:
        _reset(self._client)
        self._server.close()
        self._flows.set()

    def _requests(self) -> None:
        with suppress(OSError):
            while data := self._client.recv(65536):
                self._flows.wait()
                allowed = self._allowed
                if allowed is not None:
                    self._server.sendall(data[:allowed])
                    self._allowed = max(0, allowed - len(data))
                    if len(data) >= allowed:
                        self.reset()
                        return
                    continue
                self._server.sendall(data)
            self._server.shutdown(socket.SHUT_WR)

    def _answers(self) -> None:
        with suppress(OSError):
            while data := self._server.recv(65536):
                self._flows.wait()
                if self.cut_answer:
                    self._client.sendall(data[: len(data) // 2])
                    self.reset()
                    return
                self._client.sendall(data)
        with suppress(OSError):
            self._client.shutdown(socket.SHUT_RDWR)
        self._client.close()
        self._server.close()


def _bound(port: int) -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((HOST, port))
    return made


def _reset(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        connection.shutdown(socket.SHUT_RD)  # wakes the thread in recv()
    connection.close()


def _full_backlog(port: int) -> list[socket.socket]:
    """A listener that never accepts, and the connections that fill its queue; for the next one, SYNs are dropped.

    Linux; needs no privileges, and no address that happens to be routed nowhere.
    """
    listener = _bound(port)
    listener.listen(0)
    held = [listener]
    for _ in range(16):
        filler = socket.socket()
        filler.settimeout(0.2)
        held.append(filler)
        try:
            filler.connect((HOST, port))
        except TimeoutError:
            return held
    raise RuntimeError("a backlog of 0 took 16 connections: this system cannot play the black hole")
