"""`tracebaton run COMMAND ...`: the command, instrumented, in this very process."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import sysconfig
from pathlib import Path

from tracebaton_configurator.settings import choose_this_distro

_LAUNCHER = "opentelemetry-instrument"
# What a shell answers to a command that is not there (POSIX, "Exit Status for Commands"), and to one that cannot run.
STATUS_NOT_FOUND = 127
STATUS_NOT_EXECUTABLE = 126


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "tracebaton run COMMAND [ARGUMENT ...]"
    parser.add_argument("command", nargs=argparse.REMAINDER, help="the command and its arguments, as without tracing")


def main(arguments: argparse.Namespace) -> int:
    """Replace this process by the launcher, which replaces itself by the command: one pid, so signals arrive.

    Returns only when that fails: 127 for a command that is not there, 126 for one that cannot be executed, 2 for none.
    """
    command: list[str] = arguments.command
    if command[:1] == ["--"]:
        command = command[1:]
    if not command:
        sys.stderr.write("tracebaton run: no command was given; for example: tracebaton run uvicorn main:app\n")
        return 2
    # The tools of the environment that tracebaton lives in serve a shell that has not activated it.
    program = shutil.which(command[0]) or _beside(command[0])
    if program is None:
        return _not_runnable(command[0])
    launcher = _beside(_LAUNCHER) or shutil.which(_LAUNCHER)
    if launcher is None:
        sys.stderr.write(
            f"tracebaton run: {_LAUNCHER} is not installed beside tracebaton; "
            "reinstall tracebaton, which depends on it.\n"
        )
        return STATUS_NOT_FOUND
    sys.stdout.flush()
    try:
        os.execve(launcher, [launcher, program, *command[1:]], {**os.environ, **choose_this_distro(os.environ)})
    except OSError as error:
        sys.stderr.write(f"tracebaton run: {launcher} cannot be executed: {error.strerror}.\n")
        return STATUS_NOT_EXECUTABLE


def _not_runnable(name: str) -> int:
    there = Path(name)
    if os.sep in name and there.exists():
        what = "is a directory" if there.is_dir() else "is not executable"
        sys.stderr.write(f"tracebaton run: {name!r} {what}.\n")
        return STATUS_NOT_EXECUTABLE
    where = "does not exist" if os.sep in name else "is not on the PATH"
    sys.stderr.write(f"tracebaton run: the command {name!r} {where}.\n")
    return STATUS_NOT_FOUND


def _beside(name: str) -> str | None:
    """The program of that name in this environment's own directory of scripts."""
    return shutil.which(name, path=sysconfig.get_path("scripts"))
