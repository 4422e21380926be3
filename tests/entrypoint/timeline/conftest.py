"""What the tests of `tracebaton timeline` share: log lines, and the command in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TRACE = "391a6620fcc50438d304c4fe040d323c"
_COMMAND = [sys.executable, "-m", "tracebaton.cli", "timeline"]


@pytest.fixture
def trace() -> str:
    return TRACE


@pytest.fixture
def make_line() -> Callable[..., str]:
    """A line in tracebaton's JSON form, `ms` after 20:17:09; `span=3` stands for the id with that number."""

    def make(ms: float, message: str, *, service: str = "agent-a", span: int = 1, **more: Any) -> str:
        fields = {
            "timestamp": f"2026-11-22T20:17:{9 + int(ms // 1000):02}.{round(ms % 1000 * 1000):06}Z",
            "level": "INFO",
            "logger": "agent",
            "message": message,
            "service.name": service,
            "trace_id": TRACE,
            "span_id": f"{span:016x}",
            "trace_flags": "01",
        }
        return json.dumps({name: value for name, value in {**fields, **more}.items() if value is not None}) + "\n"

    return make


@pytest.fixture
def run_timeline(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the command in the test's directory until it ends by itself."""

    def run(*arguments: str, stdin: bytes = b"", **environ: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*_COMMAND, *arguments],
            input=stdin,
            capture_output=True,
            timeout=60,
            check=False,
            cwd=tmp_path,
            env=_environ(environ),
        )
        out, err = done.stdout.decode(), done.stderr.decode()
        assert "Traceback (most recent call last)" not in err, err
        return subprocess.CompletedProcess(done.args, done.returncode, out, err)

    return run


@dataclass
class Timeline:
    """`tracebaton timeline --follow` in a process of its own."""

    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)

    def read_until(self, wanted: str, seconds: float = 20) -> list[str]:
        """Read stdout up to a line that contains `wanted`, and return all of them so far."""
        assert self.process.stdout is not None
        watchdog = threading.Timer(seconds, self.process.kill)
        watchdog.start()
        try:
            while not any(wanted in line for line in self.lines):
                line = self.process.stdout.readline()
                assert line, f"stdout ended without {wanted!r}: {self.lines}"
                self.lines.append(line)
        finally:
            watchdog.cancel()
        return self.lines

    def write(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def interrupt(self) -> tuple[int, str]:
        """Press Ctrl-C; return the status and what is on stderr."""
        self.process.send_signal(signal.SIGINT)
        _, err = self.process.communicate(timeout=20)
        assert "Traceback (most recent call last)" not in err, err
        return self.process.returncode, err


@pytest.fixture
def start_timeline(tmp_path: Path) -> Iterator[Callable[..., Timeline]]:
    """Starts the command in the test's directory, with pipes; ends what is left over."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str, **environ: str) -> Timeline:
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            [*_COMMAND, *arguments],
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            encoding="utf-8",
            cwd=tmp_path,
            env=_environ(environ),
        )
        started.append(process)
        return Timeline(process)

    yield start
    for process in started:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None and not stream.closed:
                stream.close()


def _environ(extra: dict[str, str]) -> dict[str, str]:
    left_out = ("DOCKER_", "COMPOSE_", "FORCE_COLOR", "NO_COLOR", "TTY_", "COVERAGE_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    return {**kept, "PYTHONUTF8": "1", **extra}
