"""Looking up and connecting, with an end to each wait."""

from __future__ import annotations

import socket
import threading
import time
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING, TypeVar

from tracebaton_configurator.export.connection import Connection

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Clock", "GaveUpError", "lookup", "open_connection", "within"]

T = TypeVar("T")

# So that what ends by itself says why, before it is given up.
_GRACE = 0.1


class Clock:
    """Seconds that the checks of the network may still take, together."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        return max(0.0, self._end - time.monotonic())

    def at_most(self, seconds: float) -> Clock:
        """A clock that ends with this one, or after so many seconds."""
        return Clock(min(seconds, self.left()))


class GaveUpError(Exception):
    """It was not done in time; whoever does it is left alone, in a thread that no exit waits for."""


def within(seconds: float, work: Callable[[], T]) -> T:
    """The result of `work`, or what it raised; GaveUpError after so many seconds."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except Exception as error:  # noqa: BLE001 (raised again below, in the thread that waits)
            future.set_exception(error)

    threading.Thread(target=run, name="doctor", daemon=True).start()
    if not wait([future], seconds).done:
        raise GaveUpError
    return future.result()


def lookup(host: str, port: int, seconds: float) -> list[str]:
    """The addresses of a host; OSError where it has none. The system decides how long it asks, so it is left alone."""
    try:
        found = within(seconds, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except UnicodeError as error:
        raise OSError(f"it is no name of a host: {error}") from None
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def open_connection(host: str, port: int, clock: Clock, seconds: float) -> Connection:
    """A connection that is made within so many seconds, or as many as the clock has (OSError)."""
    left = clock.at_most(seconds).left
    try:
        # In a thread, for it looks the name up once more.
        return within(left() + _GRACE, lambda: Connection.connect(host, port, left))
    except GaveUpError:
        raise TimeoutError("no answer in time") from None
