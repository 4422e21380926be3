"""`tracebaton run COMMAND ...`: the command, instrumented, in this very process.

A container's start waits for this program, so it imports little.
"""

from __future__ import annotations

import os
import sys

from tracebaton.interpreter import which, why_untraced
from tracebaton_configurator.names import choose_this_distro
from tracebaton_configurator.startup.begin import AUTOLOAD, is_true
from tracebaton_configurator.startup.watched import SERVERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

# What a shell answers to a command that is not there (POSIX, "Exit Status for Commands"), and to one that cannot run.
STATUS_NOT_FOUND = 127
STATUS_NOT_EXECUTABLE = 126
# As in the process itself (`problems`), which is not there yet.
STATUS_WRONG_SETTING = 78


def add_arguments(parser: argparse.ArgumentParser) -> None:
    import argparse

    parser.usage = "tracebaton run COMMAND [ARGUMENT ...]"
    parser.add_argument("command", nargs=argparse.REMAINDER, help="the command and its arguments, as without tracing")


def main(arguments: argparse.Namespace) -> int:
    """As `run`."""
    return run(arguments.command)


def run(command: Sequence[str]) -> int:
    """Replace this process by the command, with our `sitecustomize` on PYTHONPATH: one pid, so signals arrive.

    With `OTEL_SDK_DISABLED=true` the command starts as without tracebaton.

    Returns only when that fails: 127 for a command that is not there, 126 for one that cannot be executed, 2 for none,
    78 for a wrong setting that is not to be lived with.
    """
    if command[:1] == ["--"]:
        command = command[1:]
    if not command:
        sys.stderr.write("tracebaton run: no command was given; for example: tracebaton run uvicorn main:app\n")
        return 2
    # The tools of the environment that tracebaton lives in serve a shell that has not activated it.
    program, shown = which(command[0]), command[0]
    if program is None:
        program = _beside(command[0])
        if program is None:
            return _not_runnable(command[0])
        shown = program  # a Python finds its environment by that name, or on the PATH
    environ = {**os.environ, **choose_this_distro(os.environ)}
    if environ.get("OTEL_PROPAGATORS") and not _checked_propagators(environ):
        return STATUS_WRONG_SETTING
    if is_true(environ, "OTEL_SDK_DISABLED"):
        _say_off(command)
    else:
        environ["PYTHONPATH"] = python_path(environ)
        problem = why_untraced(program, command[1:])
        if problem is not None:
            sys.stderr.write(f"WARNING: tracebaton: {problem}\n")
    arguments = [shown, *command[1:]]
    sys.stdout.flush()
    try:
        os.execve(program, arguments, environ)
    except OSError as error:
        sys.stderr.write(f"tracebaton run: {program} cannot be executed: {error.strerror}.\n")
        return STATUS_NOT_EXECUTABLE


def _checked_propagators(environ: dict[str, str]) -> bool:
    """Take names out that would end the application at its first import; False where that is to end it anyway."""
    from tracebaton_configurator.settings import wants_strict
    from tracebaton_configurator.settings.propagators import VARIABLE, as_upstream_takes_it

    environ[VARIABLE], problem = as_upstream_takes_it(environ)
    if problem is None:
        return True
    sys.stderr.write(f"ERROR: tracebaton: {problem}\n")
    return not wants_strict(environ)


def python_path(environ: Mapping[str, str]) -> str:
    """The PYTHONPATH of the command: as given, behind the directory of our `sitecustomize`.

    Upstream's launcher puts the working directory there as well, before the standard library, and takes 130 ms of CPU.
    """
    given = environ.get("PYTHONPATH", "")
    paths = [path for path in given.split(os.pathsep) if path != AUTOLOAD] if given else []
    return os.pathsep.join([AUTOLOAD, *paths])


def _say_off(command: Sequence[str]) -> None:
    """Where a server is started: what a tool prints stays as it is."""
    words = [os.path.basename(word) for word in command[:3]]  # noqa: PTH119 (imports pathlib)
    if set(words) & set(SERVERS):
        sys.stderr.write("INFO: tracebaton: Tracing is off: OTEL_SDK_DISABLED=true.\n")


def _not_runnable(name: str) -> int:
    from pathlib import Path

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
    from sysconfig import get_path

    return which(name, get_path("scripts"))
