"""Processes that end because another one has: each delivers what it has, and none waits longer than it has to.

As in MLflow's server (3.17): SIGTERM reaches one that passes it on to the server and waits for that. A runner polls the
server's pid and sends SIGTERM to itself, from a thread, while its main thread waits for threads that never end. The
runner's consumers poll for their parent and leave by `os._exit`, from a thread, too.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import sysconfig
import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from fault_kinds import Fault, Healthy, Refused
from fault_receiver import FaultyReceiver
from launches import TRACED, UNTRACED

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PROGRAM = """
import os, signal, subprocess, sys, threading, time
from opentelemetry import trace

role, *watched = sys.argv[1:]

def start(role, *arguments):
    return subprocess.Popen([sys.executable, __file__, role, *map(str, arguments)])

def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True

def watch_server():
    while True:
        if not is_alive(int(watched[0])):
            os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.05)

def watch_parent():
    while os.getppid() == int(watched[0]):
        time.sleep(0.05)
    os._exit(1)

if role == "server":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
if role == "main":
    server = start("server")
    signal.signal(signal.SIGTERM, lambda number, _: server.send_signal(number))
    start("runner", server.pid)
if role == "runner":
    threading.Thread(target=watch_server, daemon=True).start()
    threading.Thread(target=lambda: start("consumer", os.getpid()).wait() and threading.Event().wait()).start()
if role == "consumer":
    threading.Thread(target=watch_parent, daemon=True).start()
trace.get_tracer("t").start_span(role).end()
os.write(1, b"r")
# Not without a timeout: CPython up to 3.12 may have missed the signal (see `export.sigterm`).
while (server.poll() is None) if role == "main" else role != "runner":
    time.sleep(0.05)
"""
ROLES = ("main", "server", "runner", "consumer")
# Far more than all of them need on a slow machine: a receiver that refuses is worth a second to each.
TIMEOUT = 20


def end(launcher: Sequence[str], program: Path, endpoint: str) -> tuple[int, float]:
    """Start all of them, end the first; its exit status, and how long it took until the last was gone."""
    command = [*launcher, sys.executable, str(program), "main"]
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith("OTEL_")},
        "PATH": f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}",
        "OTEL_TRACES_SAMPLER": "always_on",
        "OTEL_BSP_SCHEDULE_DELAY": "60000",  # what arrives was sent at the end
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_TRACEBATON_SHUTDOWN_TIMEOUT": f"{TIMEOUT}s",
    }
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout
        try:
            for _ in ROLES:
                assert process.stdout.read(1) == b"r"
            begun = time.monotonic()
            process.terminate()
            assert process.stdout.read() == b""  # each of them has it open until it ends
            return process.wait(TIMEOUT), time.monotonic() - begun
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize("fault", [Healthy(), Refused()], ids=["up", "refused"])
def test_each_ends_with_the_one_that_it_watches(tmp_path: Path, fault: Fault) -> None:
    program = tmp_path / "family.py"
    program.write_text(PROGRAM)
    with FaultyReceiver() as receiver:
        receiver.fault = fault
        status, seconds = end(TRACED, program, receiver.endpoint)
        assert status == end(UNTRACED, program, receiver.endpoint)[0] == 0
        assert seconds < TIMEOUT
        delivered = ROLES if isinstance(fault, Healthy) else ()
        assert Counter(span.name for span in receiver.spans()) == Counter(delivered)
