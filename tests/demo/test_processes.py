"""Child processes: started with a bound, watched, and gone whatever they do about it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from harness import System
from processes import HOST, ChildFailedError, is_listening, stop, wait_for

pytestmark = pytest.mark.e2e

DEMO = Path(__file__).resolve().parents[2] / "docker" / "demo"
STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("ready", flush=True)
time.sleep(600)
"""


def test_a_child_that_ends_at_once_is_an_error_with_its_last_words() -> None:
    with System() as system:
        child = system.start("brief", ["python", "-c", "print('what went wrong'); raise SystemExit(3)"])
        with pytest.raises(ChildFailedError, match=r"(?s)brief ended with status 3, before listening.*what went wrong"):
            child.wait_for_ports(system.free_port())


def test_a_child_that_is_not_ready_in_time_is_an_error() -> None:
    with System() as system:
        child = system.start("idle", ["python", "-c", "import time; time.sleep(600)"])
        with pytest.raises(ChildFailedError, match=r"idle: not listening on port [0-9]+ after 0.2 s"):
            child.wait_for_ports(system.free_port(), seconds=0.2)
    assert system.left_behind() == []


def test_a_program_that_is_not_there_is_an_error() -> None:
    with System() as system, pytest.raises(ChildFailedError, match="no program 'no-such-program'"):
        system.start("missing", ["no-such-program"])


def test_a_child_that_ignores_sigterm_is_killed_with_its_own_children() -> None:
    with System() as system:
        child = system.start("stubborn", ["python", "-c", STUBBORN])
        child.wait_until(lambda: "ready" in child.output(), "ready", 10)
        assert stop([child], seconds=0.3) == ["stubborn"]
        assert child.returncode == -signal.SIGKILL
    assert system.left_behind() == []


def test_everything_is_stopped_when_the_block_ends_in_an_exception() -> None:
    system = System()

    def fail() -> None:
        with system:
            system.start_redis()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert system.children
    assert system.left_behind() == []
    assert not system.directory.exists()


def test_a_free_port_is_nobody_else_s_while_the_system_lives() -> None:
    with System() as system:
        port = system.free_port()
        assert not is_listening(port)
        if sys.platform == "linux":
            with socket.socket() as other, pytest.raises(OSError, match="in use"):
                other.bind((HOST, port))
    with socket.socket() as other:
        other.bind((HOST, port))


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_a_killed_driver_leaves_no_process_behind(tmp_path: Path) -> None:
    script = (
        "from harness import System; import time\n"
        "with System() as system:\n"
        "    system.start_redis(); print(system.children['redis'].pid, flush=True); time.sleep(600)"
    )
    environ = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", script], cwd=DEMO, env=environ, stdout=subprocess.PIPE) as driver:
        assert driver.stdout is not None
        pid = int(driver.stdout.readline())
        driver.kill()
    assert wait_for(lambda: not _runs(pid), 5)


def _runs(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return ") Z " not in status  # a zombie has ended, and waits for somebody who reaps orphans
