"""Whatever ends a process, the flush comes first, once, and the end is what it would have been."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time

import pytest

# What is said in a flush is not said with `print`: whoever is interrupted may be within that, and hold its lock.
PRELUDE = """
import os, signal, sys, time
from tracebaton_configurator.export import exits
from tracebaton_configurator.export.ends import Part
from tracebaton_configurator.export.sigterm import sigterm
def say(line):
    os.write(1, line.encode() + b"\\n")
def flush():
    say("flushed")
def flush_at_exit(flush, timeout):
    parts = [Part("It", flush, bounded=True)]
    exits.flush_at_exit(lambda: parts, timeout)
    sigterm.hold("something to lose")
"""
USUAL = "flush_at_exit(flush, 1.0)\n"


def run(code: str, *, term: bool = False) -> tuple[int, str, float]:
    """Exit status (negative: signal), standard output, seconds. `term` sends SIGTERM once it printed `ready`."""
    program = PRELUDE + ("" if "flush_at_exit(" in code else USUAL) + code
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
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
    code = "signal.signal(signal.SIGTERM, lambda *_: (os.write(1, b'mine\\n'), sys.exit(7)))\n" + WAIT
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
    status, _, seconds = run(code + WAIT, term=True)
    assert status == -signal.SIGTERM
    assert seconds < 5


def test_a_flush_that_needs_a_lock_of_the_interrupted_thread_does_not_hang_for_ever() -> None:
    code = """
import threading
lock = threading.Lock()
flush_at_exit(lock.acquire, 0.5)
with lock:
    print('ready', flush=True)
    signal.pause()
"""
    assert run(code, term=True)[0] == -signal.SIGTERM


def test_outside_the_main_thread_no_handler_is_set() -> None:
    code = """
import threading, _signal
thread = threading.Thread(target=lambda: flush_at_exit(flush, 1.0))
thread.start(); thread.join()
assert _signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
"""
    assert run(code)[0] == 0


@pytest.mark.parametrize("times", [1, 3])
def test_a_signal_in_the_middle_of_the_flush_does_not_start_another(times: int) -> None:
    code = f"""
def flush():
    for _ in range({times}):
        os.kill(os.getpid(), signal.SIGTERM)
    say("once")
flush_at_exit(flush, 1.0)
"""
    status, out, _ = run(code)
    assert out.count("once") <= 1
    assert status in (0, -signal.SIGTERM)


class TestSecondSignal:
    """From the process group and from the parent: the second one comes while the first one's flush is under way."""

    SLOW = """
def flush():
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.3)
    say("all of it")
flush_at_exit(flush, 5.0)
"""

    def test_a_flush_for_a_signal_is_waited_for(self) -> None:
        status, out, _ = run(self.SLOW + WAIT, term=True)
        assert (status, out.count("all of it")) == (-signal.SIGTERM, 1)

    @pytest.mark.parametrize("left_behind", ["", "signal.signal(signal.SIGTERM, signal.SIG_DFL)\n"])
    def test_a_flush_at_a_normal_end_is_finished_first(self, left_behind: str) -> None:
        """An event loop leaves the default action behind; the status is the one that the end has without a flush."""
        status, out, _ = run(self.SLOW + left_behind)
        assert (status, out.count("all of it")) == (0, 1)

    def test_a_flush_at_os_exit_is_waited_for(self) -> None:
        status, out, _ = run(self.SLOW + "os._exit(3)")
        assert out.count("all of it") == 1
        assert status in (3, -signal.SIGTERM)

    def test_the_time_is_that_of_the_first(self) -> None:
        code = """
def flush():
    time.sleep(0.8)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)
flush_at_exit(flush, 1.5)
"""
        status, _, seconds = run(code + WAIT, term=True)
        assert status == -signal.SIGTERM
        assert seconds < 5


class TestRaiseSignal:
    RESET = "signal.signal(signal.{0}, signal.SIG_DFL)\nsignal.raise_signal(signal.{0})\n"

    @pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT"])
    def test_a_signal_that_will_kill_is_flushed_before(self, name: str) -> None:
        """As uvicorn's worker for gunicorn ends: gunicorn has reset the handlers."""
        assert run(self.RESET.format(name))[:2] == (-signal.Signals[name], "flushed\n")

    def test_from_another_thread_too(self) -> None:
        code = """
import threading
signal.signal(signal.SIGTERM, signal.SIG_DFL)
threading.Thread(target=signal.raise_signal, args=(signal.SIGTERM,)).start()
signal.pause()
"""
        assert run(code)[:2] == (-signal.SIGTERM, "flushed\n")

    @pytest.mark.parametrize("handler", ["signal.SIG_IGN", "lambda *_: os.write(1, b'mine\\n')"])
    def test_a_signal_that_will_not_kill_flushes_nothing(self, handler: str) -> None:
        code = (
            f"signal.signal(signal.SIGTERM, {handler})\nsignal.raise_signal(signal.SIGTERM)\nprint('alive', flush=True)"
        )
        assert run(code)[1].endswith("alive\nflushed\n")

    def test_it_looks_like_the_one_it_stands_for(self) -> None:
        code = "assert signal.raise_signal.__name__ == 'raise_signal'; assert os._exit.__doc__"
        assert run(code)[0] == 0


class TestOsExit:
    def test_it_flushes_and_keeps_its_status(self) -> None:
        assert run("os._exit(3)")[:2] == (3, "flushed\n")

    def test_from_another_thread_too(self) -> None:
        assert run("import threading; threading.Thread(target=os._exit, args=(3,)).start(); signal.pause()")[:2] == (
            3,
            "flushed\n",
        )

    def test_a_flush_that_hangs_or_raises_does_not_keep_it(self) -> None:
        code = "def flush():\n    {}\nflush_at_exit(flush, 0.5)\nos._exit(3)"
        assert run(code.format("time.sleep(60)"))[0] == 3
        assert run("sys.stderr = open(os.devnull, 'w')\n" + code.format("1/0"))[0] == 3

    def test_in_the_flush_itself_it_ends_at_once(self) -> None:
        status, _, seconds = run("def flush():\n    os._exit(3)\nflush_at_exit(flush, 30.0)")
        assert status == 3
        assert seconds < 10


class TestForkedChildren:
    """A child has an end of its own."""

    @pytest.mark.parametrize(
        ("end", "status"),
        [
            ("os._exit(3)", 3),
            ("sys.exit(3)", 3),
            ("signal.raise_signal(signal.SIGTERM)", -signal.SIGTERM),
            ("sigterm.hold('its own'); os.kill(os.getpid(), signal.SIGTERM); time.sleep(5)", -signal.SIGTERM),
        ],
    )
    def test_parent_and_child_flush_once_each(self, end: str, status: int) -> None:
        code = f"""
if not (pid := os.fork()):
    {end}
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""
        assert run(code)[:2] == (0, f"flushed\n{status}\nflushed\n")

    def test_those_of_multiprocessing_too(self) -> None:
        code = """
import multiprocessing
child = multiprocessing.get_context("fork").Process(target=print)
child.start()
child.join()
print(child.exitcode, flush=True)
"""
        assert run(code)[1] == "\nflushed\n0\nflushed\n"

    @pytest.mark.skipif(sys.version_info[:2] == (3, 12), reason="CPython 3.12 refuses to fork in atexit callbacks")
    def test_a_child_that_is_made_while_the_parent_flushes(self) -> None:
        code = """
def flush():
    if not (pid := os.fork()):
        globals().update(flush=lambda: say("child"))
        os._exit(0)
    say(str(os.waitpid(pid, 0)[1]))
flush_at_exit(lambda: flush(), 1.0)
"""
        assert run(code)[1] == "child\n0\n"


def test_ctrl_c_keeps_its_status_whatever_the_flush_imports() -> None:
    code = """
sys.stderr = open(os.devnull, "w")
flush_at_exit(lambda: eval("1"), 1.0)
signal.raise_signal(signal.SIGINT)
"""
    assert run(code)[0] == -signal.SIGINT


def test_pid_1_survives_the_signal_and_flushes_when_it_ends() -> None:
    """The kernel ignores a signal that PID 1 raises on itself without a handler: what follows is traced too."""
    unshare = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if shutil.which("unshare") is None or subprocess.run([*unshare, "true"], check=False, timeout=20).returncode:
        pytest.skip("no PID NAMESPACE can be made here, so nothing is known about PID 1")
    code = "signal.raise_signal(signal.SIGTERM)\nprint('alive', os.getpid(), flush=True)"
    done = subprocess.run(
        [*unshare, sys.executable, "-c", PRELUDE + USUAL + code],
        check=False,
        timeout=20,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, "alive 1\nflushed\n")
