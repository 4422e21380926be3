"""SIGTERM keeps its default action while there is nothing to lose, and the application never sees anything else."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

PRELUDE = """
import _signal, os, re, signal, sys, threading, time
from tracebaton_configurator.export.sigterm import sigterm
def caught():
    \"\"\"Whether the kernel knows of a handler.\"\"\"
    status = open("/proc/self/status").read()
    return bool(int(re.search("SigCgt:\\t(.*)", status)[1], 16) >> signal.SIGTERM - 1 & 1)
def handler(number, frame):
    os.write(1, b"ours\\n")
    os._exit(9)
"""
HANDLED = PRELUDE + "sigterm.handle(handler)\n"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="WHAT A SIGNAL DOES IS READ FROM LINUX's /proc")


def run(code: str, prelude: str = HANDLED, seconds: float = 30) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-c", prelude + code], capture_output=True, text=True, timeout=seconds, check=False
    )
    assert not done.stderr, done.stderr
    return done.returncode, done.stdout


IN = {"main thread": "{}", "another thread": "t = threading.Thread(target=lambda: {}); t.start(); t.join()"}


@pytest.mark.parametrize("where", IN.values(), ids=IN)
def test_it_is_caught_exactly_while_something_is_held(where: str) -> None:
    code = f"""
assert not caught()
{where.format("sigterm.hold(1)")}
assert caught()
{where.format("sigterm.hold(2)")}
{where.format("sigterm.let_go(1)")}
assert caught()
{where.format("sigterm.let_go(2)")}
assert not caught()
{where.format("sigterm.hold(1)")}
os.kill(os.getpid(), signal.SIGTERM)
time.sleep(10)
"""
    assert run(code) == (9, "ours\n")


def test_a_c_call_that_holds_the_gil_does_not_put_off_an_end_that_loses_nothing() -> None:
    code = """
sigterm.hold(1)
sigterm.let_go(1)
os.write(1, b"ready\\n")
sum(range(4 * 10**9))
"""
    with subprocess.Popen([sys.executable, "-c", HANDLED + code], stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        begun = time.monotonic()
        process.terminate()
        assert process.wait(30) == -signal.SIGTERM
        assert time.monotonic() - begun < 5


def test_a_forked_child_holds_nothing() -> None:
    code = """
os.register_at_fork(after_in_child=sigterm.begin_anew)
sigterm.hold(1)
if not (child := os.fork()):
    os._exit(caught())
assert caught()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert run(code)[0] == 0


def test_a_forked_child_of_what_is_held_for_good_does() -> None:
    code = """
os.register_at_fork(after_in_child=sigterm.begin_anew)
sigterm.hold_for_good()
if not (child := os.fork()):
    os._exit(caught())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert run(code)[0] == 1


@pytest.mark.parametrize("held", ["pass", "sigterm.hold(1)"])
class TestTheApplication:
    def test_sees_the_default_action(self, held: str) -> None:
        code = f"""
{held}
assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
assert signal.signal(signal.SIGTERM, signal.SIG_IGN) is signal.SIG_DFL
assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
assert signal.signal(signal.SIGTERM, signal.SIG_DFL) is signal.SIG_IGN
assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
assert signal.getsignal.__name__ == "getsignal" and signal.signal.__name__ == "signal"
"""
        assert run(code) == (0, "")

    def test_has_its_own_handler_and_ours_again_when_it_puts_the_default_back(self, held: str) -> None:
        code = f"""
{held}
before = signal.signal(signal.SIGTERM, lambda *_: os.write(1, b"mine "))
sigterm.hold(2)
signal.raise_signal(signal.SIGTERM)
signal.signal(signal.SIGTERM, before)
signal.raise_signal(signal.SIGTERM)
"""
        assert run(code) == (9, "mine ours\n")

    @pytest.mark.parametrize("way", ["signal.SIG_IGN", "lambda *_: None"])
    def test_keeps_what_it_has_set(self, held: str, way: str) -> None:
        code = f"""
signal.signal(signal.SIGTERM, {way})
{held}
sigterm.hold(2)
sigterm.let_go(2)
os.kill(os.getpid(), signal.SIGTERM)
os.write(1, b"alive\\n")
"""
        assert run(code) == (0, "alive\n")

    def test_is_told_what_is_wrong_as_before(self, held: str) -> None:
        code = f"""
{held}
errors = []
def wrong():
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    except ValueError as error:
        errors.append(str(error))
t = threading.Thread(target=wrong); t.start(); t.join()
assert "main thread" in errors[0]
for arguments in ((signal.SIGTERM, "x"), ("x", signal.SIG_DFL), (10_000, signal.SIG_DFL)):
    try:
        signal.signal(*arguments)
    except (TypeError, ValueError):
        errors.append(1)
assert len(errors) == 4
"""
        assert run(code) == (0, "")

    def test_keeps_an_action_below_python(self, held: str) -> None:
        """Such as `faulthandler`'s, which no Python function shows."""
        code = f"""
import faulthandler
faulthandler.register(signal.SIGTERM, file=sys.stdout)
{held}
sigterm.let_go(1)
sigterm.hold(1)
os.kill(os.getpid(), signal.SIGTERM)
os.write(1, b"alive\\n")
"""
        status, out = run(code)
        assert status == 0
        assert "most recent call first" in out
        assert out.endswith("alive\n")


def test_a_handler_that_was_there_before_stays() -> None:
    code = """
signal.signal(signal.SIGTERM, lambda *_: os.write(1, b"mine\\n"))
sigterm.handle(handler)
sigterm.hold(1)
os.kill(os.getpid(), signal.SIGTERM)
"""
    assert run(code, PRELUDE) == (0, "mine\n")


def test_started_in_another_thread_the_main_thread_makes_up_for_it() -> None:
    code = """
t = threading.Thread(target=sigterm.handle, args=(handler,)); t.start(); t.join()
assert not caught()
sigterm.hold(1)
assert caught()
"""
    assert run(code, PRELUDE) == (0, "")


def test_without_ctypes_it_is_caught_all_the_time() -> None:
    code = """
sys.modules["ctypes"] = None
sigterm.handle(handler)
assert caught()
sigterm.hold(1)
sigterm.let_go(1)
assert caught()
assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
sigterm.default()
assert not caught()
"""
    assert run(code, PRELUDE) == (0, "")


def test_the_wake_up_descriptor_is_left_alone() -> None:
    code = """
reading, writing = os.pipe()
os.set_blocking(writing, False)
signal.set_wakeup_fd(writing)
sigterm.hold(1)
sigterm.let_go(1)
assert signal.set_wakeup_fd(-1) == writing
"""
    assert run(code) == (0, "")
