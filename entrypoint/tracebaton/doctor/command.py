"""Whether the command can start, would be traced, and delivers its spans when the container is stopped."""

from __future__ import annotations

import os
import pkgutil
import sys
import sysconfig
from importlib.machinery import PathFinder
from os.path import basename
from pathlib import Path
from typing import TYPE_CHECKING

from tracebaton.doctor.finding import Finding, error, nearest, ok, warning
from tracebaton.doctor.launch import SHELLS, main_command, read_launch, starts_a_python
from tracebaton.interpreter import interpreter_of, is_python, which, why_untraced
from tracebaton_configurator.names import SERVER_COMMANDS
from tracebaton_configurator.settings.service_name import application_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tracebaton.doctor.launch import Launch
    from tracebaton.doctor.situation import Situation

_STOP = "docker stop signals the shell, which passes nothing on and is killed after 10 s: the spans that wait are lost"
_WORKER = "pip install uvicorn-worker, and -k uvicorn_worker.UvicornWorker"
# The options by which servers look for the application elsewhere: uvicorn's, gunicorn's two, and granian's.
_DIRECTORIES = ("--app-dir", "--chdir", "--pythonpath", "--working-dir")


def check(situation: Situation) -> Iterator[Finding]:
    launch = situation.launch
    if not situation.command:
        yield ok("no command was given, so the start is not checked", "tracebaton doctor uvicorn main:app ...")
        return
    yield from _shells(launch)
    if not launch.program:
        yield error("the command has no program", "tracebaton doctor uvicorn main:app ...")
        return
    if launch.inits:
        yield ok(f"{launch.inits[0]} passes signals on; the application delivers its spans on SIGTERM under it, too")
    if not launch.launchers:
        yield ok("the command does not trace by itself; it is checked as if started by `tracebaton run`")
    name, *arguments = launch.program
    found = which(str(Path(situation.directory, name)) if os.sep in name else name, situation.environ.get("PATH"))
    program = found or which(name, sysconfig.get_path("scripts"))
    if program is None:
        yield _not_found(name, situation)
        return
    interpreter = interpreter_of(program)
    if interpreter and basename(interpreter[0]) in SHELLS:  # noqa: PTH119 (a word, no path)
        yield _script(Path(program))
        return
    untraced = why_untraced(program, arguments)
    if untraced:
        message, _, remedy = untraced.rstrip(".").partition(". ")
        yield error(message, remedy or "start it in another way, or leave the option out")
    elif not interpreter or not is_python(interpreter[0]):
        yield warning(f"{basename(program)} is no Python program, and only Python is instrumented")  # noqa: PTH119
    else:
        yield ok(f"{program} runs in a Python that has tracebaton")
    if is_python(program) and arguments[:1] == ["-m"] and len(arguments) > 1:
        missing = _missing(arguments[1].partition(".")[0], [situation.directory, *sys.path])
        if missing:
            yield error(
                f"the module {missing} is not there: neither installed here nor in {situation.directory}",
                f"pip install {missing}, or correct the name",
            )
        name, arguments = arguments[1], arguments[2:]
    yield from _server(basename(name), arguments, situation)  # noqa: PTH119


def _shells(launch: Launch) -> Iterator[Finding]:
    for shell in launch.shells:
        if shell.replaced:
            yield ok(f"{shell.name} becomes the program by exec, so signals reach it")
        elif shell.after:
            yield error(
                f"{shell.name} -c stays PID 1, because `{shell.after}` follows the program: {_STOP}",
                "put exec before the program, with nothing after it, or write the CMD as a list without a shell",
            )
        else:
            yield warning(
                f"{shell.name} -c without exec: some shells stay PID 1. Then {_STOP}",
                "put exec before the program, or write the CMD as a list without a shell",
            )


def _not_found(name: str, situation: Situation) -> Finding:
    if os.sep in name:
        if Path(situation.directory, name).exists():
            return error(f"the program {name!r} is not executable", f"chmod +x {name}")
        return error(f"the program {name!r} does not exist", "correct the path")
    hint = nearest(name, [*SERVER_COMMANDS, "python", "python3"])
    return error(
        f"the program {name!r} is not on the PATH{hint}: the container ends with status 127",
        f"pip install {name}" if name in SERVER_COMMANDS else "install it, or correct the name",
    )


def _script(program: Path) -> Finding:
    """A shell script as entry point: what it starts has to replace it."""
    with program.open(encoding="utf-8", errors="replace") as file:
        words, after = main_command(file.read(200_000))
    started = read_launch(words).name or "".join(words[:1])
    if words[:1] == ["exec"]:
        return ok(f"the script {program.name} becomes `{started}` by exec; what that is has to be checked on its own")
    if starts_a_python(words):
        return error(
            f"the script {program.name} starts `{started}` without exec and stays PID 1"
            + (f", with `{after}` after it" if after else "")
            + f": {_STOP}",
            f"write `exec {words[0]} ...` as its last line",
        )
    return warning(f"the script {program.name} was not understood", "check the command that it ends with on its own")


def _server(server: str, arguments: Sequence[str], situation: Situation) -> Iterator[Finding]:
    """What the options of a server, or of a Python, say about its application and its processes."""
    script = next((one for one in arguments if not one.startswith("-") and one not in ("run", "dev")), "")
    takes_a_file = server == "fastapi" or is_python(server)
    if takes_a_file and script.endswith(".py") and not Path(situation.directory, script).is_file():
        yield error(f"the file {script} does not exist in {situation.directory}", "correct the path, or the WORKDIR")
    if server not in SERVER_COMMANDS:
        return
    if "--reload" in arguments or (server == "fastapi" and "dev" in arguments[:1]):
        yield ok(
            "reloading is for development: the reloader starts the application as its child, which is traced, and "
            "delivers its spans at every restart"
        )
    count = _option(arguments, "--workers", "-w") or situation.environ.get("WEB_CONCURRENCY", "")
    if count.isdigit() and int(count) > 1:
        yield ok(
            f"{count} workers: each counts for itself, so a rate such as 10/s is up to {int(count) * 10}/s in all, and "
            "delivers its spans when it ends"
        )
    if server == "gunicorn":
        yield from _gunicorn(arguments)
    yield from _application(server, arguments, situation)


def _gunicorn(arguments: Sequence[str]) -> Iterator[Finding]:
    kind = _option(arguments, "--worker-class", "-k")
    if kind in ("sync", "gthread", "gevent", "eventlet") or not (kind or _option(arguments, "--config", "-c")):
        yield warning(
            f"gunicorn's {kind or 'sync'} worker, which it takes {'as told' if kind else 'without --worker-class'}, "
            "cannot run an ASGI application such as FastAPI",
            _WORKER,
        )
    elif "." in kind:
        module = kind.rpartition(".")[0]
        if _missing(module, sys.path):
            yield error(
                f"gunicorn's worker class {kind} is not there: no module {module}",
                _WORKER if "uvicorn" in kind else "install it",
            )
        else:
            yield ok(f"gunicorn's worker class {kind} is there")


def _application(server: str, arguments: Sequence[str], situation: Situation) -> Iterator[Finding]:
    """Its module; found, and never imported. What is in it the server says itself."""
    application = application_in(arguments)
    if application is None:
        if server == "uvicorn":
            yield error("no application is named: uvicorn wants MODULE:ATTRIBUTE", "uvicorn main:app")
        return
    given = [*(_option(arguments, name) for name in _DIRECTORIES), "."]
    given += situation.environ.get("PYTHONPATH", "").split(os.pathsep)
    places = [str(Path(situation.directory, one)) for one in given if one]
    module = application.partition(":")[0]
    missing = _missing(module, [*places, *sys.path])
    if missing:
        hint = nearest(missing, [one.name for one in pkgutil.iter_modules(places)])
        yield error(
            f"the application {application} is not there: there is no module {missing} in {places[0]}{hint}; the "
            "server ends before it listens",
            "correct the name, or the directory that the container starts in (WORKDIR, --app-dir)",
        )
    else:
        yield ok(f"the module {module} of the application {application} is there")


def _missing(module: str, places: Sequence[str]) -> str:
    """The part of a dotted name that is not there, found as an import would find it; empty where all of it is."""
    name, searched = "", list(places)
    for part in module.split("."):
        name = f"{name}.{part}".lstrip(".")
        spec = PathFinder.find_spec(name, searched)
        if spec is None:
            return name
        searched = list(spec.submodule_search_locations or ())
    return ""


def _option(arguments: Sequence[str], *names: str) -> str:
    """The value of the last of these options, written `--name VALUE`, `--name=VALUE` or `-nVALUE`; else empty."""
    value = ""
    for at, argument in enumerate(arguments):
        for name in names:
            if argument == name and len(arguments) > at + 1:
                value = arguments[at + 1]
            elif argument.startswith(f"{name}=") or (len(name) == 2 and argument[:2] == name and len(argument) > 2):
                value = argument[len(name) :].removeprefix("=")
    return value
