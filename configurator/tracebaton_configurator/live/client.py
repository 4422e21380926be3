"""Asks another traced process: for the operator's command, and for a worker that wants to do as its parent does."""

from __future__ import annotations

import _socket as socket  # neither gevent nor eventlet replaces this one
import errno
import os
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from tracebaton_configurator.live.address import is_here, listed, peer_of
from tracebaton_configurator.live.message import encode, receive
from tracebaton_configurator.patching import os_threads

if TYPE_CHECKING:
    from collections.abc import Sequence

SECONDS = 2.0
_PAUSES = (0.01, 0.05, 0.2)


class Answer(NamedTuple):
    """`pid` as it is seen from here, and what the process says (see `message`)."""

    pid: int
    said: dict[str, Any]


class NoAnswerError(Exception):
    """Says in a sentence which process did not answer; `timed_out` where it may still do as it was told.

    `known`: it is known which process that is; else nothing has been sent.
    """

    def __init__(self, who: str, problem: str, *, timed_out: bool = False, known: bool = False) -> None:
        super().__init__(f"{who} {problem}")
        self.timed_out = timed_out
        self.known = known


def ask_process(pid: int, names: Sequence[str], request: dict[str, Any], seconds: float = SECONDS) -> Answer | None:
    """Ask the process `pid`, which listens under one of `names`: anybody may listen under more that look alike.

    Whose socket it is tells the kernel. None and NoAnswerError are as for `ask`; `seconds` is for all of it.
    """
    deadline = time.monotonic() + seconds
    crowded = []
    for name in names:
        try:
            answer = ask(name, request, pid, max(deadline - time.monotonic(), 0.001), waits=False)
        except NoAnswerError as error:  # noqa: PERF203 (each of them is another socket)
            if error.known:
                raise
            crowded.append(name)
        else:
            if answer is not None:
                return answer
    # Somebody who keeps the queue of a socket full is asked last.
    for name in crowded:
        answer = ask(name, request, pid, max(deadline - time.monotonic(), 0.001))
        if answer is not None:
            return answer
    return None


def ask(
    name: str, request: dict[str, Any], pid: int | None = None, seconds: float = SECONDS, *, waits: bool = True
) -> Answer | None:
    """Send one request to the socket `name`, and wait for the answer `seconds` at most.

    None for a process that has gone, that belongs to another container or another user (unless root asks), or that is
    not the process `pid`. Raises NoAnswerError; unless it `waits`, at once where others wait to be heard.
    """
    deadline = time.monotonic() + seconds
    # One that ends while it is asked resets the connection, perhaps a second one too, and then refuses them.
    for pause in _PAUSES:
        with suppress(ConnectionResetError):
            return _ask_once(name, request, pid, deadline, waits=waits)
        os_threads.sleep(pause)
    raise NoAnswerError(f"A process ({name})", "ended the connection without an answer", known=True)


def _ask_once(name: str, request: dict[str, Any], pid: int | None, deadline: float, *, waits: bool) -> Answer | None:
    """As `ask`; raises ConnectionResetError for a connection that ends without an answer."""
    who, known = f"A process ({name})", False
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as connection:
        try:
            _connect(connection, name, deadline if waits else 0)
            connection.settimeout(max(deadline - time.monotonic(), 0.001))
            peer = peer_of(connection)
            if pid not in (None, peer.pid) or not _is_mine(peer.uid) or not is_here(peer):
                return None
            who, known = f"Process {peer.pid}", True
            # One that answers and leaves without having read on, as to a stranger, is heard all the same.
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(encode(request))
            said = receive(connection, deadline)
        except (ConnectionRefusedError, FileNotFoundError):
            return None
        except ConnectionResetError:
            raise
        except TimeoutError:
            raise NoAnswerError(
                who, "does not answer: it is stopped or very busy", timed_out=True, known=known
            ) from None
        except (OSError, ValueError) as error:
            raise NoAnswerError(who, f"answers with something else: {error}", known=known) from None
    if said is None:
        raise ConnectionResetError
    return None if "refused" in said else Answer(peer.pid, said)


def _connect(connection: socket.socket, name: str, deadline: float) -> None:
    """Raises TimeoutError where the queue of connections stays full, which a Unix socket says at once."""
    connection.settimeout(0)
    while (problem := connection.connect_ex("\0" + name)) == errno.EAGAIN:
        if time.monotonic() >= deadline:
            raise TimeoutError
        os_threads.sleep(0.01)
    if problem:
        raise OSError(problem, os.strerror(problem))  # of the subclass that belongs to the number


def _is_mine(uid: int) -> bool:
    # One that listened as root and has become another user since is still root's here: it decides by itself.
    return os.geteuid() == 0 or uid in (0, os.geteuid())


def ask_parent() -> dict[str, Any] | None:
    """The `state` of the parent process; None where it is not traced, or does not answer."""
    parent = os.getppid()
    with suppress(OSError, NoAnswerError):
        answer = ask_process(parent, [name for pid, name in listed() if pid == parent], {"do": "state"})
        if answer is not None and "error" not in answer.said:
            return answer.said
    return None
