"""Runs one application in one variant, and writes down everything about it that can be seen from outside."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import subprocess
import tempfile
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import process_tree
from equality_client import ask, ask_over_one_connection
from equality_venv import lay_out
from harness import child_environ
from processes import Port, wait_for

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from equality_apps import App
    from equality_variants import Variant

_PATIENCE = 60.0
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass
class Observation:
    """`cpu`: seconds of the whole tree until its first answer, or to the end of one that ends by itself."""

    status: int = 0
    answers: list[tuple[str, bytes]] = field(default_factory=list)
    outputs: dict[str, bytes] = field(default_factory=dict)
    """By name: `stdout`, `stderr`, and every file that it wrote into {out}."""
    processes: list[process_tree.Process] = field(default_factory=list)
    cpu: float = 0.0
    trouble: str = ""
    """What went wrong so far that nothing could be compared; empty otherwise."""


def observe(app: App, variant: Variant, environ: Mapping[str, str]) -> Observation:
    """`environ` is what the variants have in common, the receiver's endpoint for one. The thread must outlive it."""
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="equality-")))
        port = Port()
        stack.callback(port.release)
        (place / "out").mkdir()
        words = {"port": port.number, "here": app.here, "out": place / "out"}
        own = {name: value.format(**words) for name, value in app.env.items()}
        # A variable of the application's stays its own, whatever the variant says.
        variables = child_environ({"PYTHONHASHSEED": "0", **environ, **variant.env, **own})
        if "venv" in app.needs:
            variables = lay_out(app.here, place, variables)
        command = [*variant.launcher, *(word.format(**words) for word in app.command)]
        seen = Observation()
        with (place / "stdout").open("wb") as out, (place / "stderr").open("wb") as err:
            running = _start(command, app.here, variables, out.fileno(), err.fileno())
        stack.callback(_kill, running)
        try:
            _watch(app, running, port.number, place, seen)
        except (OSError, subprocess.TimeoutExpired, RuntimeError) as error:
            seen.trouble = f"{type(error).__name__}: {error}"
        _kill(running)
        written = [place / "stdout", place / "stderr", *sorted((place / "out").rglob("*"))]
        seen.outputs = {path.name: _shared(path.read_bytes(), place, port.number) for path in written if path.is_file()}
        return seen


def _shared(text: bytes, place: Path, port: int) -> bytes:
    """Without the directory and the port of this run."""
    return re.sub(rb"\b%d\b" % port, b"{port}", text.replace(str(place).encode(), b"{place}"))


def _watch(app: App, running: subprocess.Popen[bytes], port: int, place: Path, seen: Observation) -> None:
    if app.requests:
        seen.answers.append(("first", _first_answer(app, running, port)))
    elif app.ready:
        ready = app.ready.encode()
        if not wait_for(lambda: ready in (place / "stdout").read_bytes() or running.poll() is not None, _PATIENCE):
            raise RuntimeError(f"it did not print {app.ready!r}")
    if app.ended_by:
        seen.cpu = process_tree.cpu_seconds(process_tree.session(running.pid))
    seen.answers += [(f"{one.method} {one.path}", ask(port, one)) for one in app.requests[1:]]
    gets = [one for one in app.requests if one.method == "GET" and "connection" not in map(str.lower, one.headers)]
    seen.answers += [(f"kept connection, {i}", answer) for i, answer in enumerate(ask_over_one_connection(port, gets))]
    if app.ended_by:
        seen.processes = _settled(running.pid)
        running.send_signal(getattr(signal, app.ended_by))
    _, status, usage = _wait(running)
    seen.status = os.waitstatus_to_exitcode(status)
    if not app.ended_by:
        seen.cpu = usage.ru_utime + usage.ru_stime


def _start(
    command: Sequence[str], here: Path, environ: Mapping[str, str], out: int, err: int
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        cwd=here,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=err,
        start_new_session=True,
        preexec_fn=_as_a_shell_would,  # noqa: PLW1509 (system calls only)
    )


def _as_a_shell_would() -> None:
    """A job that is started in the background has SIGINT ignored, and would hand that on; and nothing outlives us."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _first_answer(app: App, running: subprocess.Popen[bytes], port: int) -> bytes:
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return ask(port, app.requests[0])
        except ConnectionRefusedError:  # noqa: PERF203 (that is what is waited for)
            if running.poll() is not None:
                raise RuntimeError(f"it ended with status {running.returncode} before it listened") from None
            if time.monotonic() > deadline:
                raise RuntimeError("nobody listened in time") from None
            time.sleep(0.01)


def _settled(pid: int) -> list[process_tree.Process]:
    """The processes once two looks in a row show the same, and none has worked in between: all workers have started,
    connections that we closed are gone.
    """
    looks: list[tuple[float, list[process_tree.Process]]] = [(-1.0, [])]

    def same() -> bool:
        found = process_tree.session(pid)
        looks.append((process_tree.cpu_seconds(found), process_tree.processes(found)))
        return looks[-1] == looks[-2]

    wait_for(same, 5, 0.15)
    return looks[-1][1]


def _wait(running: subprocess.Popen[bytes]) -> tuple[int, int, os.resource.struct_rusage]:  # type: ignore[name-defined]
    """wait4(2), with a bound: it alone tells what a process has used that is gone."""
    if running.returncode is not None:  # polled away
        raise RuntimeError(f"it ended by itself with status {running.returncode}")
    ended = wait_for(lambda: (found := os.wait4(running.pid, os.WNOHANG))[0] and found, _PATIENCE)
    if not ended:
        raise RuntimeError("it did not end")
    running.returncode = os.waitstatus_to_exitcode(ended[1])
    return ended


def _kill(running: subprocess.Popen[bytes]) -> None:
    """Whatever is left of the session; a worker that outlives its master is not waited for."""
    for pid in process_tree.session(running.pid):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    running.wait()
