"""Exceptions that nobody catches, and warnings, in real servers and programs: one line of JSON each, with its ids."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from typing import TYPE_CHECKING

import httpx
import pytest
from harness import TRACED
from log_lines import get, ids_in, start

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from harness import System

PATHS = ("/thread", "/timer", "/warning", "/finalizer")
LOGGERS = ("threading.excepthook", "threading.excepthook", "py.warnings", "sys.unraisablehook")
PATCHES = ("excepthook", "thread-excepthook", "unraisablehook", "warnings")


@pytest.mark.parametrize("environ", [{}, {"OTEL_TRACES_SAMPLER_ARG": "0"}], ids=["sampled", "unsampled"])
def test_each_has_the_ids_of_its_request(system: System, environ: dict[str, str]) -> None:
    url = start(system, "uncaught", "uncaught_app", TRACED, **environ)
    trace_ids = [httpx.get(f"{url}{path}").json() for path in PATHS]
    system.stop_agents()
    lines = [json.loads(line) for line in system.children["uncaught"].stderr.read_text().splitlines()]
    assert len(set(trace_ids)) == len(PATHS)
    for path, logger, trace_id in zip(PATHS, LOGGERS, trace_ids, strict=True):
        (line,) = [one for one in lines if f"in {path}!" in f"{one['message']} {one.get('exc_info')}"]
        assert line["logger"] == logger
        assert ids_in(line)["trace_id"] == trace_id


@pytest.mark.parametrize("mode", ["inject", "off"])
def test_the_text_stays_in_other_modes(system: System, mode: str) -> None:
    url = start(system, "uncaught", "uncaught_app", TRACED, OTEL_TRACEBATON_LOGS=mode)
    get(url, *PATHS)
    system.stop_agents()
    text = system.children["uncaught"].stderr.read_text()
    assert text.count("\nTraceback (most recent call last):\n") == 5
    assert '"logger"' not in text


def run(command: Sequence[str], directory: Path, *, traced: bool, **environ: str) -> subprocess.CompletedProcess[str]:
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "PYTHON"))}
    variables["PATH"] = f"{sysconfig.get_path('scripts')}{os.pathsep}{variables['PATH']}"
    variables |= {"OTEL_TRACES_EXPORTER": "none", "OTEL_SERVICE_NAME": "shop", **environ}
    return subprocess.run(
        [*(TRACED if traced else ()), *command],
        env=variables,
        cwd=directory,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


SCRIPT = """
import asyncio, httpx
async def main():
    await asyncio.sleep(0)
    raise ValueError("fails")
if __name__ == "__main__":
    asyncio.run(main())
"""
COMMANDS = {
    "a script": (sys.executable, "program.py"),
    "a module": (sys.executable, "-m", "program"),
    "a text": (sys.executable, "-c", SCRIPT),
    "an application that cannot be imported": ("uvicorn", "broken:app", "--port", "0"),
    "one that gunicorn loads first": (
        "gunicorn",
        "broken:app",
        "--preload",
        "--no-control-socket",
        "-b",
        "127.0.0.1:0",
    ),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_what_ends_a_program(tmp_path: Path, name: str) -> None:
    (tmp_path / "program.py").write_text(SCRIPT)
    (tmp_path / "broken.py").write_text("import httpx\nraise LookupError('no setting')\n")
    plain, traced = (run(COMMANDS[name], tmp_path, traced=traced) for traced in (False, True))
    lines = [json.loads(line) for line in traced.stderr.splitlines()]
    (line,) = [one for one in lines if one["logger"] == "sys.excepthook"]
    assert line["level"] == "CRITICAL"
    assert line["service.name"] == "shop"
    assert line["exc_info"] == plain.stderr[plain.stderr.index("Traceback") :].rstrip("\n")
    assert traced.returncode == plain.returncode != 0


@pytest.mark.parametrize("patch", PATCHES)
def test_each_can_be_left_out(tmp_path: Path, patch: str) -> None:
    script = (
        "import httpx, threading, warnings\nwarnings.warn('x')\n"
        "class Own:\n    def __del__(self): raise ValueError\n"
        "Own()\nt = threading.Thread(target=int, args=('x',)); t.start(); t.join()\nraise ValueError\n"
    )
    (tmp_path / "script.py").write_text(script)
    done = run((sys.executable, "script.py"), tmp_path, traced=True, OTEL_TRACEBATON_DISABLED_PATCHES=patch)
    objects = [json.loads(line) for line in done.stderr.splitlines() if line[0] == "{"]
    loggers = {"py.warnings", "sys.unraisablehook", "threading.excepthook", "sys.excepthook"}
    of_patch = dict(
        zip(PATCHES, ("sys.excepthook", "threading.excepthook", "sys.unraisablehook", "py.warnings"), strict=True)
    )
    assert {one["logger"] for one in objects} - {"tracebaton"} == loggers - {of_patch[patch]}
