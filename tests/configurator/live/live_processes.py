"""Starts live_process.py and speaks to it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[2] / "docker" / "demo")]

from processes import wait_for  # noqa: E402

from tracebaton_configurator.live.address import listed  # noqa: E402
from tracebaton_configurator.live.client import Answer, ask  # noqa: E402


class Process:
    """One that runs live_process.py."""

    def __init__(self, service: str, *wrapper: str) -> None:
        self.service = service
        command = [*wrapper, sys.executable, str(HERE / "live_process.py"), service]
        self.popen = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.pid = self.popen.pid

    def wait_until_ready(self) -> None:
        assert self._read() == "ready"

    def do(self, line: str) -> str:
        assert self.popen.stdin is not None
        self.popen.stdin.write(line + "\n")
        self.popen.stdin.flush()
        return self._read()

    @property
    def name(self) -> str:
        return name_of(self.pid)

    def ask(self, do: str = "status", **more: Any) -> dict[str, Any]:
        answer = ask(self.name, {"do": do, **more})
        assert isinstance(answer, Answer)
        return answer.said

    def stop(self) -> None:
        stop(self.pid)

    def go_on(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def end(self) -> None:
        self.popen.kill()
        self.popen.wait()
        for pipe in (self.popen.stdin, self.popen.stdout, self.popen.stderr):
            with suppress(OSError):
                pipe.close()  # type: ignore[union-attr]

    def _read(self) -> str:
        assert self.popen.stdout is not None
        line = self.popen.stdout.readline().strip()
        if line:
            return line
        raise AssertionError(self.popen.communicate()[1])


def names_of(pid: int) -> list[str]:
    return [name for one, name in listed() if one == pid]


def name_of(pid: int) -> str:
    """The socket of a process, as soon as it has one."""
    (name,) = wait_for(lambda: names_of(pid), 10)
    return name


def stop(pid: int) -> None:
    """Stop all threads of a process, which the signal alone does not at once."""
    os.kill(pid, signal.SIGSTOP)
    assert wait_for(lambda: _states(pid) == {"T"}, 10)


def _states(pid: int) -> set[str]:
    stats = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    return {stat.rpartition(") ")[2][:1] for stat in stats}
