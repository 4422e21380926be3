"""A CPU limit as a container has it, without a container: all processes of a session run for a part of each period.

The kernel's own limit does the same to a cgroup that has used up its quota (`cpu.max`): nothing of it runs until the
next period begins.
"""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import process_tree

if TYPE_CHECKING:
    from typing_extensions import Self


class DutyCycle:
    """Within the block the session that `pid` leads runs for `share` of each `period`, in seconds, on one core."""

    def __init__(self, pid: int, share: float, period: float = 0.1) -> None:
        self._pid = pid
        # What it starts inherits this: a share of one core is the share of all processes together.
        os.sched_setaffinity(pid, {max(os.sched_getaffinity(0))})
        self._runs, self._stands = period * share, period * (1 - share)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._turn, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _turn(self) -> None:
        while not self._over.wait(self._runs):
            # A process that is made while others are being stopped is found by a second look.
            stopped = self._signal(signal.SIGSTOP, ())
            self._signal(signal.SIGSTOP, stopped)
            self._over.wait(self._stands)
            self._signal(signal.SIGCONT, ())

    def _signal(self, number: signal.Signals, but: tuple[int, ...]) -> tuple[int, ...]:
        there = tuple(process_tree.session(self._pid))
        for pid in set(there) - set(but):
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        return there
