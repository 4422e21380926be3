"""The bounded flush at every end of a process that Python gets to see.

A server that shuts down gracefully on SIGTERM restores the handlers it found and raises the signal again (uvicorn
0.29+, `Server.capture_signals`). What it found is normally the system's default, which ends the process without
`atexit`, and with it every queued span. So a handler stands there first, that flushes and then lets the signal do what
it would have done.
"""

from __future__ import annotations

import atexit
import signal
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType


def flush_at_exit(flush: Callable[[], object], timeout: float) -> None:
    """Call `flush` once when the process ends, normally or by SIGTERM; after `timeout` seconds the end comes anyway."""
    once = _Once(flush)
    atexit.register(once)
    # A process that handles SIGTERM already, or ignores it, keeps doing so; it then ends in a way that atexit sees.
    # Only the main thread may set a handler.
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _FlushThenDie(once, timeout))


class _Once:
    """Calls through the first time; whoever comes later, in another thread too, returns at once."""

    def __init__(self, flush: Callable[[], object]) -> None:
        self._flush = flush
        self._turn = threading.Lock()

    def __call__(self) -> None:
        if self._turn.acquire(blocking=False):
            self._flush()


class _FlushThenDie:
    """The handler for SIGTERM."""

    def __init__(self, flush: Callable[[], object], timeout: float) -> None:
        self._flush = flush
        self._timeout = timeout

    def __call__(self, signal_number: int, _: FrameType | None) -> None:
        # In a thread of its own: the main thread stopped wherever the signal met it, perhaps holding a lock that the
        # flush needs. Then the wait below ends it, late but not never.
        thread = threading.Thread(target=self._flush, name="tracebaton-flush", daemon=True)
        thread.start()
        thread.join(self._timeout)
        signal.signal(signal_number, signal.SIG_DFL)
        # The exit status is the signal's, as before. PID 1 survives this, because the kernel ignores a signal that it
        # sends itself without a handler; the process then goes on to the end it would have had.
        signal.raise_signal(signal_number)
