"""Looking up and connecting, with an end to each wait."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, TypeVar

from tracebaton_configurator.export.connection import Connection

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracebaton.doctor.situation import Clock

__all__ = ["GaveUpError", "connect", "lookup", "within"]

T = TypeVar("T")

# So that what ends by itself says why, before it is given up.
_GRACE = 0.1


class GaveUpError(Exception):
    """It was not done in time; whoever does it is left alone, in a thread that no exit waits for."""


def within(seconds: float, work: Callable[[], T]) -> T:
    """The result of `work`, or what it raised; GaveUpError after so many seconds."""
    results: list[T] = []
    failures: list[Exception] = []

    def run() -> None:
        try:
            results.append(work())
        except Exception as error:  # noqa: BLE001 (raised again below, in the thread that waits)
            failures.append(error)

    thread = threading.Thread(target=run, name="doctor", daemon=True)
    thread.start()
    thread.join(seconds)
    if failures:
        raise failures[0]
    if not results:
        raise GaveUpError
    return results[0]


def lookup(host: str, port: int, seconds: float) -> list[str]:
    """The addresses of a host; OSError where it has none. The system decides how long it asks, so it is left alone."""

    def ask() -> list[str]:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except UnicodeError as error:
            raise OSError(f"it is no name of a host: {error}") from None
        return list(dict.fromkeys(str(address[0]) for *_, address in found))

    return within(seconds, ask)


def connect(host: str, port: int, clock: Clock, seconds: float) -> OSError | None:
    """Connect and close again; returns what prevented it."""
    try:
        open_connection(host, port, clock, seconds).close()
    except OSError as error:
        return error
    return None


def open_connection(host: str, port: int, clock: Clock, seconds: float) -> Connection:
    """A connection that is made within so many seconds, or as many as the clock has (OSError)."""
    left = clock.at_most(seconds).left
    try:
        # In a thread, for it looks the name up once more.
        return within(left() + _GRACE, lambda: Connection.connect(host, port, left))
    except GaveUpError:
        raise TimeoutError("no answer in time") from None
