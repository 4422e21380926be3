"""Listens for the operator: one thread that sleeps in `accept`, in every traced process.

One line of JSON each way. A request is an object with `do`: `status`, `state`, `on`, `off`, `set` or `reset`, with
`rules` (text) and `seconds` (number or null) where they belong; the answer is an object, with `error` (a sentence)
where the request changed nothing.
"""

from __future__ import annotations

import json
import os
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from tracebaton_configurator.live.address import AVAILABLE, listed, name_for, peer_of
from tracebaton_configurator.logs import own

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracebaton_configurator.live.control import Control

_LONGEST = 128 * 1024
_SECONDS = 2.0


class Server:
    """`describe` makes the answer to `status`. Nothing in here may disturb the application: it says so and gives up."""

    def __init__(self, control: Control, describe: Callable[[], dict[str, Any]]) -> None:
        self._control = control
        self._describe = describe

    def start(self) -> None:
        """Take over what the parent process has been told, and listen; in forked children, too."""
        if not AVAILABLE:
            return
        state = _state_of_parent()
        if state is not None:
            with suppress(Exception):
                self._control.adopt(state)
        self._listen()
        # A child of a fork has its parent's state in memory already.
        os.register_at_fork(after_in_child=self._listen)

    def _listen(self) -> None:
        try:
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            listener.bind("\0" + name_for(os.getpid(), os.urandom(8)))
            listener.listen(8)
            threading.Thread(
                target=self._serve, args=(listener, os.getpid()), name="tracebaton-control", daemon=True
            ).start()
        except Exception as error:  # noqa: BLE001 (tracing works without)
            own.warning("Tracing cannot be controlled while it runs: %s: %s", type(error).__name__, error)

    def _serve(self, listener: socket.socket, pid: int) -> None:
        with listener:
            while os.getpid() == pid:
                try:
                    listener.settimeout(self._control.expire())
                    connection, _ = listener.accept()
                except TimeoutError:
                    continue
                except OSError:
                    return
                with connection, suppress(OSError, ValueError):
                    connection.settimeout(_SECONDS)
                    answer = self._answer(connection)
                    connection.sendall(json.dumps(answer).encode() + b"\n")

    def _answer(self, connection: socket.socket) -> dict[str, Any]:
        peer = peer_of(connection)
        if peer.uid not in (0, os.geteuid()):
            return {"error": f"only the user {os.geteuid()} and root may control this process, not user {peer.uid}"}
        request = json.loads(receive_line(connection))
        try:
            return self._do(request)
        except Exception as error:  # noqa: BLE001 (a wrong rule, or a request nobody foresaw)
            return {"error": str(error) or type(error).__name__}

    def _do(self, request: dict[str, Any]) -> dict[str, Any]:
        control = self._control
        do, seconds = request["do"], request.get("seconds")
        if do == "state":
            return control.state()
        if do == "off":
            control.off(seconds)
            own.info("Tracing was switched off by an operator%s.", _for(seconds))
        elif do == "on":
            control.on()
            own.info("Tracing was switched on by an operator.")
        elif do == "set":
            control.set_rules(str(request["rules"]), seconds)
            own.info("An operator set the sampling rules%s: %s.", _for(seconds), control.describe()["sampler"])
        elif do == "reset":
            control.reset_rules()
            own.info("An operator took the sampling rules back to the environment's.")
        elif do != "status":
            return {"error": f"{do!r} is unknown to this version"}
        return self._describe()


def receive_line(connection: socket.socket) -> bytes:
    """Up to the first line end (OSError, ValueError for more than 128 KiB)."""
    received = b""
    while b"\n" not in received:
        more = connection.recv(65536)
        if not more:
            break
        received += more
        if len(received) > _LONGEST:
            raise ValueError("the message is too long")
    return received.partition(b"\n")[0]


def ask(name: str, request: dict[str, Any], pid: int | None = None) -> tuple[int, dict[str, Any]] | None:
    """Send one request to the socket `name`: the process id, as it is seen from here, and the answer.

    None for one that is not there any more, that cannot be seen from here, that belongs to another user (unless root
    asks), or that is not the process `pid`. Raises OSError and ValueError for one that does not answer.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_SECONDS)
        try:
            connection.connect("\0" + name)
        except (ConnectionRefusedError, FileNotFoundError):
            return None
        peer = peer_of(connection)
        if peer.pid == 0 or pid not in (None, peer.pid) or (os.geteuid() not in (0, peer.uid)):
            return None
        connection.sendall(json.dumps(request).encode() + b"\n")
        answer = json.loads(receive_line(connection))
    return peer.pid, answer


def _state_of_parent() -> dict[str, Any] | None:
    """What the parent process has been told: a worker that is started later is to do as the others do."""
    parent = os.getppid()
    for pid, name in listed():
        if pid == parent:
            with suppress(OSError, ValueError):
                answered = ask(name, {"do": "state"}, parent)
                if answered is not None and "error" not in answered[1]:
                    return answered[1]
    return None


def _for(seconds: float | None) -> str:
    return "" if seconds is None else f" for {seconds:g} s"
