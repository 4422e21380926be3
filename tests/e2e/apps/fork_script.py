"""`python fork_script.py WAY ROUNDS`: makes child processes in that way, each of which makes spans of its own.

Prints one line of JSON per child as it is reaped, pid and exit status, and at the end how many spans the parent made.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING

from opentelemetry import trace

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE = 15.0
TRACER = trace.get_tracer("forks")


def make_spans(name: str, count: int = 3) -> None:
    for _ in range(count):
        TRACER.start_span(name, attributes={"made by": os.getpid()}).end()


def child() -> None:
    make_spans("child")


def fork(end: Callable[[], object]) -> None:
    """A child by os.fork, that gets a limited time to end."""
    started = time.monotonic()
    pid = os.fork()
    if pid == 0:
        child()
        end()
    status = None
    while status is None:
        done, code = os.waitpid(pid, os.WNOHANG)
        if done:
            status = os.waitstatus_to_exitcode(code)
        elif time.monotonic() - started > PATIENCE:
            os.kill(pid, signal.SIGKILL)
        else:
            time.sleep(0.002)
    say(pid=pid, status=status)


def process(method: str) -> None:
    made = multiprocessing.get_context(method).Process(target=child)
    made.start()
    made.join(PATIENCE)
    if made.is_alive():
        made.kill()
        made.join()
    say(pid=made.pid, status=made.exitcode)


def say(**what: int | None) -> None:
    print(json.dumps(what), flush=True)  # noqa: T201 (the test reads it)


class Work(threading.Thread):
    """Spans without end, so that the exporter is at work at every fork."""

    def __init__(self) -> None:
        super().__init__()
        self.made = 0
        self.done = threading.Event()

    def run(self) -> None:
        while not self.done.wait(0.001):
            make_spans("parent")
            self.made += 3


def main() -> None:
    way, rounds = sys.argv[1], int(sys.argv[2])
    work = Work()
    work.start()
    ways: dict[str, Callable[[], object]] = {
        "os._exit": lambda: fork(lambda: os._exit(3)),
        "sys.exit": lambda: fork(lambda: sys.exit(3)),
        "SIGTERM": lambda: fork(lambda: os.kill(os.getpid(), signal.SIGTERM)),
        **{method: lambda method=method: process(method) for method in ("fork", "spawn", "forkserver")},
    }
    for _ in range(rounds):
        ways[way]()
    work.done.set()
    work.join()
    say(made=work.made)


if __name__ == "__main__":
    main()
