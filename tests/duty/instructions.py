"""Instructions that programs execute, counted by valgrind's callgrind: a number that repeats on a busy machine, too."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from equality_apps import Request
from equality_client import ask
from processes import Child, Port, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

_PATIENCE = 300.0


def need_valgrind() -> None:
    if shutil.which("valgrind") is None:
        pytest.skip("NO INSTRUCTIONS WERE COUNTED: there is no valgrind")


def of_command(command: Sequence[str], environ: Mapping[str, str], place: Path) -> tuple[int, bytes]:
    """The instructions from beginning to end, those of a program that becomes another one included; and the output."""
    place.mkdir()
    done = subprocess.run(
        [*_callgrind(place), *command],
        env=environ,
        cwd=place,
        check=True,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=_PATIENCE,
    )
    return _counted(place), done.stdout + done.stderr


def of_server(
    command: Sequence[str], environ: Mapping[str, str], here: Path, place: Path, delivered: Callable[[], bool] | None
) -> tuple[int, int]:
    """Up to the first answer, and up to the moment when `delivered`; 0 for the latter without that.

    In `command` {port} stands for a port.
    """
    place.mkdir()
    port = Port()
    words = [shutil.which(command[0], path=environ["PATH"]) or "", *command[1:]]
    whole = [*_callgrind(place), *(word.format(port=port.number) for word in words)]
    child = Child("server", whole, environ=environ, cwd=here, directory=place)
    try:
        child.wait_for_ports(port.number, seconds=_PATIENCE)
        assert ask(port.number, Request("GET", "/")).startswith(b"HTTP/1.1 200")
        _dump(child.pid)
        ready = after = _counted(place)
        if delivered is not None:
            assert wait_for(delivered, _PATIENCE, 0.1), child.output_end()
            _dump(child.pid)
            after = _counted(place)
        return ready, after if delivered else 0
    finally:
        child.kill()
        port.release()


def _callgrind(place: Path) -> list[str]:
    # What is counted of a program that becomes another one is lost, unless it is written down before.
    options = ("--trace-children=yes", "--dump-before=execve", f"--callgrind-out-file={place}/counted.%p")
    return ["valgrind", "--quiet", "--tool=callgrind", f"--log-file={place}/said.%p", *options]


def _dump(pid: int) -> None:
    """As `callgrind_control --dump` does; it has done so when this returns."""
    subprocess.run(["vgdb", f"--pid={pid}", "dump"], check=True, capture_output=True, timeout=_PATIENCE)


def _counted(place: Path) -> int:
    """All dumps together; each holds what came since the one before."""
    totals = [re.search(r"(?m)^totals: (\d+)", path.read_text()) for path in place.glob("counted.*")]
    return sum(int(total[1]) for total in totals if total)
