"""Listens for the operator: one thread that sleeps in `accept`, in every traced process."""

from __future__ import annotations

import _socket as socket  # neither gevent nor eventlet replaces this one
import os
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

from tracebaton_configurator.live.address import AVAILABLE, is_here, name_for, peer_of
from tracebaton_configurator.live.client import ask_parent
from tracebaton_configurator.live.container import namespace
from tracebaton_configurator.live.message import encode, receive
from tracebaton_configurator.live.operations import RequestError, perform
from tracebaton_configurator.logs import own
from tracebaton_configurator.patching import os_threads

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracebaton_configurator.live.control import Control

# For a request to arrive, and for its answer to be taken: a client that dawdles keeps the next one waiting, and what is
# to end by itself.
_SECONDS = 0.5
_WAITING = 64


class Server:
    """`describe` makes the answer to most requests. Nothing in here may disturb the application."""

    def __init__(self, control: Control, service: str, describe: Callable[[], dict[str, Any]]) -> None:
        self._control = control
        self._service = service
        self._describe = describe
        self._open: list[socket.socket] = []

    def start(self) -> None:
        """Take over what the parent process has been told, and listen; in forked children, too."""
        if not AVAILABLE:
            return
        listener = self._listen()
        # After that: whatever the parent is told from now on, this process is told as well.
        self._follow_parent()
        self._serve_in_thread(listener)
        os.register_at_fork(after_in_child=self._begin_in_child)

    def _follow_parent(self) -> None:
        try:
            state = ask_parent()
            if state is not None:
                _say(self._control.take_over(state))
        except Exception as error:  # noqa: BLE001 (perhaps another version's; this process goes by its variables)
            own.warning(
                "The control state of the parent process could not be read: %s: %s", type(error).__name__, error
            )

    def _begin_in_child(self) -> None:
        """A forked child has its parent's state in memory, perhaps in the middle of a change, and its open sockets.

        Kept open, they would have commands wait for a parent that has ended.
        """
        inherited, self._open = self._open, []
        for one in inherited:
            with suppress(OSError):
                one.close()
        self._control.apply()
        self._serve_in_thread(self._listen())

    def _listen(self) -> socket.socket | None:
        listener = None
        try:
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            listener.bind("\0" + name_for(os.getpid(), os.urandom(8)))
            listener.listen(_WAITING)
        except Exception as error:  # noqa: BLE001 (tracing works without)
            self._give_up(listener, error)
            return None
        return listener

    def _serve_in_thread(self, listener: socket.socket | None) -> None:
        if listener is None:
            return
        self._open = [listener]
        try:
            os_threads.Thread.start(lambda: self._serve(listener))
        except Exception as error:  # noqa: BLE001 (tracing works without)
            self._give_up(listener, error)

    def _give_up(self, listener: socket.socket | None, error: Exception) -> None:
        self._open = []
        if listener is not None:
            listener.close()
        with suppress(Exception):
            own.warning("Tracing cannot be controlled while it runs: %s: %s", type(error).__name__, error)

    def _serve(self, listener: socket.socket) -> None:
        while True:
            _say(self._control.expire())
            try:
                listener.settimeout(self._control.seconds_left())
                connection = socket.socket(fileno=listener._accept()[0])  # type: ignore[attr-defined]  # noqa: SLF001 (as `accept` does)
            except TimeoutError:
                continue
            except OSError:  # the process has no file descriptor to spare, say
                os_threads.sleep(_SECONDS)
                continue
            self._open = [listener, connection]
            with closing(connection):
                self._serve_one(connection)
            self._open = [listener]

    def _serve_one(self, connection: socket.socket) -> None:
        said: list[str] = []
        with suppress(Exception):  # who has gone gets no answer
            answer = self._answer(connection, said)
            connection.settimeout(_SECONDS)
            connection.sendall(encode(answer))
        # After the answer: the application's log may be stuck.
        _say(said)

    def _answer(self, connection: socket.socket, said: list[str]) -> dict[str, Any]:
        peer = peer_of(connection)
        # Asked now: a process may have become another user since it began to listen.
        user = os.geteuid()
        if peer.uid not in (0, user):
            return _refusal(f"only user {user} and root may control this process, not user {peer.uid}")
        if not is_here(peer):
            return _refusal("only a process of the same container may control this one")
        try:
            request = receive(connection, time.monotonic() + _SECONDS)
            if request is None:
                raise RequestError("there is no request")
            if request.get("service", self._service) != self._service or not _is_of(request.get("container")):
                return {"other_service": True}
            if request.get("do") == "state":
                return self._control.state()
            said += perform(self._control, request)
            return self._describe()
        except TimeoutError:
            return {"error": f"the request did not arrive within {_SECONDS:g} s; nothing was changed"}
        except (RequestError, ValueError) as error:
            return {"error": f"{error}; nothing was changed"}
        except Exception as error:  # noqa: BLE001 (a defect here: it is told to whoever asked)
            return {"error": f"{type(error).__name__}: {error}"}


def _is_of(container: object) -> bool:
    return container is None or container == namespace()


def _refusal(sentence: str) -> dict[str, Any]:
    return {"refused": True, "error": sentence}


def _say(sentences: list[str]) -> None:
    with suppress(Exception):  # a handler of the application's may raise
        for sentence in sentences:
            own.info("%s", sentence)
