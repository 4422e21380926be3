"""Whatever ends a process, the flush comes first, once, and the end is what it would have been."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

PRELUDE = """
import os, signal, sys, time
from tracebaton_configurator.export.exits import flush_at_exit
def flush():
    print("flushed", flush=True)
flush_at_exit(flush, 1.0)
"""


def run(code: str, *, term: bool = False) -> tuple[int, str, float]:
    """Exit status (negative: signal), standard output, seconds. `term` sends SIGTERM once it printed `ready`."""
    with subprocess.Popen([sys.executable, "-c", PRELUDE + code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        started = time.monotonic()
        if term:
            assert process.stdout.readline() == "ready\n"
            process.send_signal(signal.SIGTERM)
        out = process.stdout.read()
        return process.wait(timeout=20), out, time.monotonic() - started


WAIT = "print('ready', flush=True); signal.pause()\n"


def test_a_normal_end_flushes_once() -> None:
    assert run("")[:2] == (0, "flushed\n")


def test_an_exception_flushes_and_keeps_its_status() -> None:
    assert run("sys.stderr = open(os.devnull, 'w'); 1/0")[:2] == (1, "flushed\n")


def test_sigterm_flushes_and_still_kills() -> None:
    assert run(WAIT, term=True)[:2] == (-signal.SIGTERM, "flushed\n")


def test_a_server_that_restores_and_raises_again_is_flushed() -> None:
    """What uvicorn does after its graceful shutdown."""
    code = """
before = signal.signal(signal.SIGTERM, lambda *_: None)
signal.raise_signal(signal.SIGTERM)
signal.signal(signal.SIGTERM, before)
signal.raise_signal(signal.SIGTERM)
"""
    assert run(code)[:2] == (-signal.SIGTERM, "flushed\n")


def test_the_applications_own_handler_runs_and_decides() -> None:
    code = "signal.signal(signal.SIGTERM, lambda *_: (print('mine', flush=True), sys.exit(7)))\n" + WAIT
    assert run(code, term=True)[:2] == (7, "mine\nflushed\n")


def test_a_process_that_ignored_sigterm_before_keeps_ignoring_it() -> None:
    code = """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
flush_at_exit(flush, 1.0)
signal.raise_signal(signal.SIGTERM)
print("alive", flush=True)
"""
    assert run(code)[1].startswith("alive\n")


def test_a_flush_that_hangs_does_not_delay_the_end_beyond_the_timeout() -> None:
    code = "def flush():\n    time.sleep(60)\nflush_at_exit(flush, 0.5)\n"
    prelude_first_is_quick = "signal.signal(signal.SIGTERM, signal.SIG_DFL)\n"
    status, _, seconds = run(prelude_first_is_quick + code + WAIT, term=True)
    assert status == -signal.SIGTERM
    assert seconds < 5


def test_a_flush_that_needs_a_lock_of_the_interrupted_thread_does_not_hang_for_ever() -> None:
    code = """
import threading
lock = threading.Lock()
signal.signal(signal.SIGTERM, signal.SIG_DFL)
flush_at_exit(lock.acquire, 0.5)
with lock:
    print('ready', flush=True)
    signal.pause()
"""
    assert run(code, term=True)[0] == -signal.SIGTERM


def test_outside_the_main_thread_no_handler_is_set() -> None:
    code = """
import threading
signal.signal(signal.SIGTERM, signal.SIG_DFL)
thread = threading.Thread(target=flush_at_exit, args=(flush, 1.0))
thread.start(); thread.join()
assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
"""
    assert run(code)[0] == 0


@pytest.mark.parametrize("times", [1, 3])
def test_a_signal_in_the_middle_of_the_flush_does_not_start_another(times: int) -> None:
    code = f"""
def flush():
    for _ in range({times}):
        os.kill(os.getpid(), signal.SIGTERM)
    print("once", flush=True)
flush_at_exit(flush, 1.0)
"""
    status, out, _ = run("signal.signal(signal.SIGTERM, signal.SIG_DFL)\n" + code)
    assert out.count("once") <= 1
    assert status in (0, -signal.SIGTERM)
