"""The bounded flush at every end of a process that Python gets to see.

`atexit` sees the ends that come by themselves. It does not see these, each of which lost every queued span:

- A signal's default action. A server that shuts down gracefully on SIGTERM restores the handler it found and raises the
  signal again (uvicorn 0.29 to 0.54, `Server.capture_signals`). So a handler stands there first, that flushes and then
  lets the signal do what it would have done (`export.sigterm`).
- The same where the handler has been taken away again: gunicorn's workers reset all signals after the fork, and
  uvicorn_worker 0.3 and 0.4 leaves it at that. So `signal.raise_signal` flushes before a signal that will kill.
- `os._exit`, which is how every child ends that `multiprocessing` forked (CPython 3.10 to 3.14,
  `multiprocessing/popen_fork.py` and `forkserver.py`), granian's workers among them, and many that `os.fork` made.

A signal handler runs on top of whatever the main thread does, and holds, at that moment. So it takes no lock and does
no work of its own: it starts a thread, waits for it until the time is over, and lets the process die.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from tracebaton_configurator.export.ends import end_all
from tracebaton_configurator.export.sigterm import sigterm
from tracebaton_configurator.logs import own
from tracebaton_configurator.patching import os_threads, registry

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from tracebaton_configurator.export.ends import Part

# What asks a process to end, as opposed to what reports its failure.
_REQUESTS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)

# For what is left of an end that a signal was to hasten, in seconds.
_PATIENCE = 1.0


def flush_at_exit(parts: Callable[[], list[Part]], timeout: float) -> None:
    """End `parts` once when the process ends: by itself, by SIGTERM or by `os._exit`; in a forked child once more.

    A signal and `os._exit` wait for that `timeout` seconds and no longer, and not at all where nothing is needed. At a
    normal end, each has to keep to that itself unless it can be left behind in a thread (see `ends`).
    """
    end = _End(parts, timeout)
    atexit.register(end.come)
    os.register_at_fork(after_in_child=end.begin_anew)
    sigterm.handle(end.on_signal)
    registry.apply("raise-signal", lambda: _wrap_raise_signal(end))
    registry.apply("exit", lambda: _wrap_exit(end))


class _Flush:
    """One that has begun, or is about to."""

    def __init__(self, timeout: float, thread: int = 0) -> None:
        self.deadline = time.monotonic() + timeout
        self.thread = thread
        self.done = os_threads.Latch()
        self.held_back: int | None = None
        """The signal that came while this flush held the main thread."""

    def wait(self) -> None:
        if not self.is_beneath():
            self.done.wait(self.deadline - time.monotonic())

    def is_beneath(self) -> bool:
        """It is unfinished in the very thread that asks, so that waiting for it would be waiting for ever."""
        return self.thread == os_threads.get_ident() and not self.done.is_open


class _End:
    """The end of a process: the first that comes flushes, whoever comes later waits for that."""

    def __init__(self, parts: Callable[[], list[Part]], timeout: float) -> None:
        self._parts = parts
        self._timeout = timeout
        self._begun: dict[str, _Flush] = {}
        # As an object that is the same each time it is asked for.
        self.on_signal: Callable[[int, FrameType | None], None] = self._on_signal

    def begin_anew(self) -> None:
        """A forked child has not flushed, even if its parent is just doing so."""
        self._begun = {}
        own.ending = False
        sigterm.begin_anew()

    def come(self) -> None:
        """Flush in this thread."""
        mine = _Flush(self._timeout, os_threads.get_ident())
        first = self._begun.setdefault("", mine)
        if first is not mine:
            first.wait()
            return
        try:
            # Whoever is told by Ctrl-C to end sooner does so.
            with suppress(KeyboardInterrupt):
                # Event loops leave the default action behind, and a second SIGTERM is usual: one is sent to the process
                # group, and one by the parent that got the first.
                sigterm.hold(mine)
                self._run(mine, cooperate=os_threads.concurrency_model() is not None)
        finally:
            _stay_interrupted()
            sigterm.let_go(mine)
            if mine.held_back is not None:
                _die_unless_gone(mine.held_back)

    def come_in_time(self) -> None:
        """Flush in a thread of its own, and leave it behind when the time is over."""
        if not self._begun and not any(part.is_needed() for part in self._parts()):
            return
        mine = _Flush(self._timeout)
        first = self._begun.setdefault("", mine)
        if first is mine:
            sigterm.hold(mine)
            # This thread may have been stopped anywhere, perhaps holding a lock that the flush needs.
            try:
                os_threads.Thread.start(lambda: self._run(mine))
            except RuntimeError:  # no thread can be started, at the latest end or at a limit of the system's
                self._run(mine)
        first.wait()

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        # Another signal may raise KeyboardInterrupt in here, any number of times; this one still ends the process.
        try:
            begun = self._begun.get("")
            if begun is not None and begun.is_beneath() and time.monotonic() < begun.deadline:
                begun.held_back = number
                return
            while True:
                with suppress(KeyboardInterrupt):
                    self.come_in_time()
                    break
        except BaseException:  # noqa: BLE001, S110 (see above)
            pass
        die(number)

    def _run(self, flush: _Flush, *, cooperate: bool = False) -> None:
        flush.thread = os_threads.get_ident()
        own.ending = True
        try:
            end_all(self._parts(), flush.deadline - time.monotonic(), cooperate=cooperate)
        finally:
            flush.done.open()


def die(number: int) -> None:
    """Of a signal whose default action is to kill. The exit status is the signal's, as without us."""
    sigterm.default()
    # Of the process: this very thread may block it, and the one that it was meant for not.
    os.kill(os.getpid(), number)


def _die_unless_gone(number: int) -> None:
    """Die of a signal that came while a process was ending by itself, unless that end takes yet longer.

    Without the flush, the process would have been gone when the signal came, and its exit status is the one of that
    end. It has a second more for it: an `atexit` callback behind ours may hang, which the signal was to end.
    """
    try:
        if signal.getsignal(signal.SIGALRM) == signal.SIG_DFL and not any(signal.getitimer(signal.ITIMER_REAL)):
            signal.signal(signal.SIGALRM, lambda *_: die(number))
            signal.setitimer(signal.ITIMER_REAL, _PATIENCE)
            return
    except ValueError:  # not in the main thread
        pass
    die(number)


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
        # The kernel ignores a signal without a handler that PID 1 sends to itself, and one that is blocked has to wait:
        # these are no ends.
        if (
            signalnum in _REQUESTS
            and signal.getsignal(signalnum) == signal.SIG_DFL
            and os.getpid() != 1
            and signalnum not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
        ):
            try:
                end.come_in_time()
            finally:
                if signalnum == signal.SIGTERM:
                    sigterm.default()
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
