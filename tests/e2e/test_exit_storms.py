"""Signals in any number, at any moment: the process ends in time, with a status that it could have without us."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import sysconfig
import time
from typing import TYPE_CHECKING

from fault_receiver import FaultyReceiver
from launches import TRACED

if TYPE_CHECKING:
    from collections.abc import Sequence

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
ROUNDS, AT_ONCE = 80, 5
TIMEOUT = 2.0
# Makes spans and prints all the time, in threads and in the main thread: whatever has a lock is met while it is held.
# It ends with the process that started it.
PROGRAM = """
import logging, os, sys, threading, time
from opentelemetry import trace
tracer = trace.get_tracer("storm")
parent = os.getppid()
def work():
    while os.getppid() == parent:
        with tracer.start_as_current_span("work"):
            print("x" * 50, file=sys.stderr)
            logging.getLogger(str(time.monotonic())).warning("y")
        threading.Thread(target=int).start()
threading.Thread(target=work, daemon=True).start()
print("ready", flush=True)
work()
"""


class Running:
    """A program that has been started and is being signalled; its output is read by nobody."""

    def __init__(self, launcher: Sequence[str], env: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [*launcher, sys.executable, "-c", PROGRAM], env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )

    def end(self, storm: Sequence[tuple[float, signal.Signals]]) -> tuple[int, float]:
        """Send each signal so many seconds after the one before; the exit status, and how long it took."""
        assert self._process.stdout
        assert self._process.stdout.readline() == b"ready\n"
        for wait, number in storm:
            time.sleep(wait)
            self._process.send_signal(number)
        begun = time.monotonic()
        try:
            return self._process.wait(30), time.monotonic() - begun
        finally:
            self._process.kill()
            self._process.stdout.close()


def storms(seed: int) -> list[list[tuple[float, signal.Signals]]]:
    """A first signal at a random moment, and up to four more that meet whatever the first has set going."""
    dice = random.Random(seed)
    return [
        [(dice.uniform(0, 0.05), dice.choice(SIGNALS)) for _ in range(dice.randint(2, 5))]
        for _ in range(ROUNDS)
    ]  # fmt: skip


def test_a_storm_of_signals_ends_a_process_in_time() -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    print("seed", seed)  # noqa: T201 (shown where this fails)
    ours = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    ours["PATH"] = f"{sysconfig.get_path('scripts')}:{ours['PATH']}"
    with FaultyReceiver() as receiver:
        env = {
            **ours,
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
            "OTEL_TRACES_SAMPLER": "always_on",
            "OTEL_BSP_SCHEDULE_DELAY": "20",
            "OTEL_TRACEBATON_SHUTDOWN_TIMEOUT": f"{TIMEOUT}s",
            # A start takes longer with them, and so many have to be waited for.
            "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "httpx,redis,fastapi",
        }
        waiting = storms(seed)
        while waiting:
            some, waiting = waiting[:AT_ONCE], waiting[AT_ONCE:]
            for storm, running in [(storm, Running(TRACED, env)) for storm in some]:
                status, seconds = running.end(storm)
                assert status in possible(storm), (storm, status)
                assert seconds < TIMEOUT + 3, (storm, seconds)


def possible(storm: Sequence[tuple[float, signal.Signals]]) -> set[int]:
    """The statuses without tracing: of any signal, and of a Python that KeyboardInterrupt ends while it ends."""
    numbers = {number for _, number in storm}
    return {-number for number in numbers} | ({1} if signal.SIGINT in numbers else set())
