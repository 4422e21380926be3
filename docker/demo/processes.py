"""Child processes that cannot outlive whoever started them: started, watched, waited for and stopped."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

HOST = "127.0.0.1"
PR_SET_PDEATHSIG = 1

T = TypeVar("T")


class ChildFailedError(RuntimeError):
    """A child process ended, or did not do in time what was waited for; the message ends with its output."""


def wait_for(condition: Callable[[], T], seconds: float, interval: float = 0.02) -> T:
    """Call `condition` until what it returns is true, or `seconds` have passed; return the last value, true or not."""
    deadline = time.monotonic() + seconds
    while not (value := condition()) and time.monotonic() < deadline:
        time.sleep(interval)
    return value


def is_listening(port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex((HOST, port)) == 0


class Port:
    """A free port that stays ours until `release`, so that no other process takes it before our child listens on it.

    On Linux a socket that is bound but does not listen keeps the kernel from giving the port to anybody else, and lets
    a server that sets SO_REUSEADDR, as they all do, listen on it. Elsewhere the port is only known to have been free.
    """

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((HOST, 0))
        self.number: int = self._socket.getsockname()[1]
        if sys.platform != "linux":
            self.release()

    def release(self) -> None:
        self._socket.close()


class Child:
    """One child process in a process group of its own; its output goes to files.

    Start it in a thread that lives as long as the child should: on Linux the kernel ends the child with that thread,
    which is how a driver that is itself killed leaves nothing behind.
    """

    def __init__(
        self, name: str, command: Sequence[str], *, environ: Mapping[str, str], cwd: Path, directory: Path
    ) -> None:
        self.name = name
        self.command = list(command)
        self.stdout = directory / f"{name}.out"
        self.stderr = directory / f"{name}.err"
        with self.stdout.open("ab") as out, self.stderr.open("ab") as err:
            self._process = subprocess.Popen(
                self.command,
                env=environ,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - it makes one system call
            )
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit status, negative for a signal; None while the process runs."""
        return self._process.poll()

    def output(self) -> str:
        """What it has written so far, stdout first."""
        return self.stdout.read_text(errors="replace") + self.stderr.read_text(errors="replace")

    def output_end(self, lines: int = 20) -> str:
        """The last lines of what it wrote, for an error message."""
        return "\n".join(self.output().splitlines()[-lines:]) or "(no output)"

    def wait_until(self, condition: Callable[[], bool], what: str, seconds: float) -> None:
        """Wait for `condition`.

        Raises ChildFailedError, naming `what`, when the process ends or the time is over first.
        """
        wait_for(lambda: self.returncode is not None or condition(), seconds)
        if self.returncode is not None:
            raise ChildFailedError(
                f"{self.name} ended with status {self.returncode}, before {what}:\n{self.output_end()}"
            )
        if not condition():
            raise ChildFailedError(f"{self.name}: not {what} after {seconds:g} s:\n{self.output_end()}")

    def wait_for_ports(self, *ports: int, seconds: float = 30) -> None:
        listed = " and ".join(map(str, ports))
        self.wait_until(lambda: all(map(is_listening, ports)), f"listening on port {listed}", seconds)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process itself, not to its group, as `docker stop` does."""
        if self.returncode is None:
            self._process.send_signal(number)

    def kill(self) -> None:
        """End what is left of the whole process group, at once."""
        with suppress(ProcessLookupError, PermissionError):  # macOS answers EPERM where there are only zombies
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()

    def is_gone(self) -> bool:
        """No process of the group is left, the first one's children included."""
        try:
            os.killpg(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return False


def stop(children: Sequence[Child], seconds: float) -> list[str]:
    """Stop all of them together with SIGTERM, then with SIGKILL whatever is left after `seconds`.

    Returns the names of those that had to be killed. An exception meanwhile, such as a second Ctrl-C, cuts only the
    waiting short.
    """
    try:
        for child in children:
            child.signal(signal.SIGTERM)
        wait_for(lambda: all(child.returncode is not None for child in children), seconds)
    finally:
        late = [child.name for child in children if child.returncode is None]
        for child in children:
            child.kill()
    return late


_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None  # loaded here: not after the fork


def _die_with_parent() -> None:
    if _libc is not None:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
