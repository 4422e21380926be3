"""The bounded flush at every end of a process that Python gets to see.

`atexit` sees the ends that come by themselves. It does not see these, each of which lost every queued span:

- A signal's default action. A server that shuts down gracefully on SIGTERM restores the handler it found and raises the
  signal again (uvicorn 0.29 to 0.54, `Server.capture_signals`). So a handler stands there first, that flushes and then
  lets the signal do what it would have done.
- The same where the handler has been taken away again: gunicorn's workers reset all signals after the fork, and
  uvicorn_worker 0.3 and 0.4 leaves it at that. So `signal.raise_signal` flushes before a signal that will kill.
- `os._exit`, which is how every child ends that `multiprocessing` forked (CPython 3.10 to 3.14,
  `multiprocessing/popen_fork.py` and `forkserver.py`), granian's workers among them, and many that `os.fork` made.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

# What asks a process to end, as opposed to what reports its failure.
_REQUESTS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


def flush_at_exit(flush: Callable[[], object], timeout: float) -> None:
    """Call `flush` once when the process ends: by itself, by SIGTERM or by `os._exit`; in a forked child once more.

    A signal and `os._exit` wait for it `timeout` seconds and no longer. At a normal end it has to keep to that itself:
    from Python 3.12 on no thread can be started any more that it could be left behind in.
    """
    end = _End(flush, timeout)
    atexit.register(end.come)
    os.register_at_fork(after_in_child=end.begin_anew)
    end.watch(signal.SIGTERM)
    _wrap_raise_signal(end)
    _wrap_exit(end)


class _Flush:
    """One that has begun, or is about to."""

    def __init__(self, timeout: float, thread: int = 0) -> None:
        self.deadline = time.monotonic() + timeout
        self.thread = thread
        self.done = threading.Event()
        self.held_back: int | None = None
        """The signal that came while this flush held the main thread."""

    def wait(self) -> None:
        if not self.is_beneath():
            self.done.wait(max(0.0, self.deadline - time.monotonic()))

    def is_beneath(self) -> bool:
        """It is unfinished in the very thread that asks, so that waiting for it would be waiting for ever."""
        return self.thread == threading.get_ident() and not self.done.is_set()


class _End:
    """The end of a process: the first that comes flushes, whoever comes later waits for that.

    There is no lock: a signal handler runs on top of whatever the main thread does, this class included.
    """

    def __init__(self, flush: Callable[[], object], timeout: float) -> None:
        self._flush = flush
        self._timeout = timeout
        self._raise = signal.raise_signal
        self.begin_anew()

    def begin_anew(self) -> None:
        """A forked child has not flushed, even if its parent is just doing so."""
        self._begun: dict[str, _Flush] = {}

    def come(self) -> None:
        """Flush in this thread."""
        mine = _Flush(self._timeout, threading.get_ident())
        first = self._begun.setdefault("", mine)
        if first is not mine:
            first.wait()
            return
        # Event loops leave the default action behind, and a second SIGTERM is usual: one is sent to the process group,
        # and one by the parent that got the first.
        self.watch(signal.SIGTERM)
        try:
            self._run(mine)
        finally:
            _stay_interrupted()
            if mine.held_back is not None:
                self._die(mine.held_back)

    def come_in_time(self) -> None:
        """Flush in a thread of its own, and leave it behind when the time is over."""
        mine = _Flush(self._timeout)
        first = self._begun.setdefault("", mine)
        if first is mine:
            # This thread may have been stopped anywhere, perhaps holding a lock that the flush needs.
            try:
                threading.Thread(target=self._run, args=(mine,), name="tracebaton-flush", daemon=True).start()
            except RuntimeError:  # no thread can be started, at the latest end or at a limit of the system's
                self._run(mine)
        first.wait()

    def watch(self, number: int) -> None:
        """Handle a signal that would kill.

        A process that handles it already, or ignores it, keeps doing so; it then ends in a way that is seen elsewhere.
        Only the main thread may set a handler.
        """
        if threading.current_thread() is threading.main_thread() and signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        begun = self._begun.get("")
        if begun is not None and begun.is_beneath():
            begun.held_back = number
            return
        # The kernel ignores a signal without a handler that PID 1 sends to itself: this is not its end.
        if os.getpid() != 1:
            self.come_in_time()
        self._die(number)

    def _die(self, number: int) -> None:
        """The exit status is the signal's, as without us."""
        signal.signal(number, signal.SIG_DFL)
        self._raise(number)

    def _run(self, flush: _Flush) -> None:
        flush.thread = threading.get_ident()
        try:
            self._flush()
        finally:
            flush.done.set()


def _stay_interrupted() -> None:
    """Keep the exit status of a program that Ctrl-C has ended, which is the signal's.

    CPython notes that KeyboardInterrupt was not caught, and forgets it with the next code that is run from a string, as
    by every import of a module with a dataclass (3.10 to 3.14, `run_eval_code_obj` in Python/pythonrun.c).
    """
    if isinstance(getattr(sys, "last_value", None), KeyboardInterrupt):
        with suppress(KeyboardInterrupt):
            exec("raise KeyboardInterrupt")  # noqa: S102 (only such code is noted)


def _wrap_raise_signal(end: _End) -> None:
    raise_signal = signal.raise_signal

    def flush_then_raise(signalnum: int, /) -> None:
        if signalnum in _REQUESTS and signal.getsignal(signalnum) == signal.SIG_DFL:
            end.watch(signalnum)
            if threading.current_thread() is not threading.main_thread() and os.getpid() != 1:
                end.come_in_time()
        raise_signal(signalnum)

    _replace(signal, "raise_signal", flush_then_raise)


def _wrap_exit(end: _End) -> None:
    leave = os._exit

    def flush_then_exit(status: int) -> None:
        try:
            end.come_in_time()
        finally:
            leave(status)

    _replace(os, "_exit", flush_then_exit)


def _replace(module: Any, name: str, function: Callable[[int], None]) -> None:
    """Whoever looks at it sees what it stands for."""
    from functools import update_wrapper

    setattr(module, name, update_wrapper(function, getattr(module, name)))
