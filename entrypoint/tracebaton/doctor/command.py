"""Whether the command can start, would be traced, and delivers its spans when the container is stopped."""

from __future__ import annotations

import os
import re
import shutil
import sysconfig
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING

from tracebaton.doctor.application import check_application, option
from tracebaton.doctor.finding import Finding, error, nearest, ok, warning
from tracebaton.doctor.launch import main_command, read_launch
from tracebaton.interpreter import keeps_us_out
from tracebaton_configurator.names import SERVER_COMMANDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tracebaton.doctor.launch import Launch
    from tracebaton.doctor.situation import Situation

__all__ = ["check"]

_STOP = "docker stop signals the shell, which passes nothing on and is killed after 10 s: the spans that wait are lost"
_TRACED = ("tracebaton run", "opentelemetry-instrument")


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
    program = _find(launch.program[0], situation)
    if program is None:
        yield _not_found(launch.program[0], situation)
        return
    if _is_shell_script(program):
        yield from _script(program)
        return
    yield from _python(program)
    kept_out = keeps_us_out(str(program), launch.program[1:])
    if kept_out:
        yield error(kept_out.rstrip("."), "start it in another way, or leave the option out")
    server, arguments, module_missing = _server(launch.program, situation.directory)
    if module_missing:
        yield error(
            f"the module {module_missing} is not there: neither installed here nor in {situation.directory}",
            f"pip install {module_missing}, or correct the name",
        )
        return
    if server:
        yield from _workers(server, arguments, situation.environ)
        yield from check_application(server, arguments, situation)
    else:
        yield from _file(launch.program, situation)


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


def _find(name: str, situation: Situation) -> Path | None:
    """The program, as `tracebaton run` would find it."""
    path = situation.environ.get("PATH", os.defpath)
    if os.sep in name:
        there = Path(situation.directory, name)
        return there if there.is_file() and os.access(there, os.X_OK) else None
    found = shutil.which(name, path=path) or shutil.which(name, path=sysconfig.get_path("scripts"))
    return Path(found) if found else None


def _not_found(name: str, situation: Situation) -> Finding:
    there = Path(situation.directory, name)
    if os.sep in name:
        reason = "is not executable" if there.exists() else "does not exist"
        return error(f"the program {name!r} {reason}", f"chmod +x {name}" if there.exists() else "correct the path")
    hint = nearest(name, [*SERVER_COMMANDS, "python", "python3"])
    package = name if name in SERVER_COMMANDS else ""
    return error(
        f"the program {name!r} is not on the PATH{hint}: the container ends with status 127",
        f"pip install {package}" if package else "install it, or correct the name",
    )


def _is_shell_script(program: Path) -> bool:
    first = _first_line(program)
    return bool(re.match(rb"#!\s*\S*?/(?:env\s+)?(?:ba|da|a|z|k)?sh\b", first))


def _first_line(program: Path) -> bytes:
    try:
        with program.open("rb") as file:
            return file.readline(300)
    except OSError:
        return b""


def _script(program: Path) -> Iterator[Finding]:
    """A shell script as entry point: what it starts has to replace it."""
    with program.open(encoding="utf-8", errors="replace") as file:
        text = file.read(200_000)
    words, after = main_command(text)
    inner = read_launch(words)
    if words[:1] == ["exec"]:
        said = " ".join(words[1:3])
        yield ok(f"the script {program.name} becomes `{said}` by exec; what that is has to be checked on its own")
        return
    if inner.name in (*SERVER_COMMANDS, "python", "python3") or inner.launchers or words[:1] in (["$@"], ["$*"]):
        yield error(
            f"the script {program.name} starts `{inner.name or words[0]}` without exec and stays PID 1"
            + (f", with `{after}` after it" if after else "")
            + f": {_STOP}",
            f"write `exec {' '.join(words[:1])} ...` as its last line",
        )
    else:
        yield warning(f"the script {program.name} was not understood", "check the command that it ends with on its own")


def _python(program: Path) -> Iterator[Finding]:
    """Whether the program runs in the Python that tracebaton is installed in."""
    is_python = re.fullmatch(r"python[0-9.]*|pypy[0-9.]*", program.name) is not None
    first = _first_line(program)
    interpreter = program if is_python else _interpreter(first)
    if interpreter is None:
        if not first.startswith(b"#!"):
            yield warning(f"{program.name} is no Python program, and only Python is instrumented")
        return
    here = Path(sysconfig.get_path("scripts"))
    if interpreter.parent.resolve() == here.resolve() or _is_this(interpreter):
        yield ok(f"{program} runs in the Python that tracebaton is installed in")
        return
    another = f"{program} is another Python" if is_python else f"{program} runs in another Python, {interpreter},"
    yield error(
        f"{another} than the one that tracebaton is installed in, that of {here}: nothing is traced",
        f"{interpreter} -m pip install tracebaton",
    )


def _is_this(interpreter: Path) -> bool:
    """Whether it is what `sys.executable` is, by another name and in no environment of its own."""
    import sys

    own, other = Path(sys.executable), interpreter
    in_environment = (other.parent.parent / "pyvenv.cfg").exists() or (own.parent.parent / "pyvenv.cfg").exists()
    return not in_environment and own.resolve() == other.resolve()


def _interpreter(first: bytes) -> Path | None:
    words = first[2:].decode(errors="replace").split() if first.startswith(b"#!") else []
    if not words:
        return None
    if words[0].endswith("/env"):
        words = [word for word in words[1:] if not word.startswith("-")]
        found = shutil.which(words[0]) if words else None
        return Path(found) if found and "py" in words[0] else None
    return Path(words[0]) if "py" in Path(words[0]).name else None


def _server(program: Sequence[str], directory: str) -> tuple[str, Sequence[str], str]:
    """Server and its arguments, for `uvicorn ...` and `python -m uvicorn ...`; then a module that is not there."""
    name = Path(program[0]).name
    if name in SERVER_COMMANDS:
        return name, program[1:], ""
    for at, argument in enumerate(program[1:], 1):
        if argument == "-m" and len(program) > at + 1:
            module = program[at + 1].partition(".")[0]
            if PathFinder.find_spec(module) is None and PathFinder.find_spec(module, [directory]) is None:
                return "", (), module
            return (module, program[at + 2 :], "") if module in SERVER_COMMANDS else ("", (), "")
        if not argument.startswith("-") or argument == "-c":
            break
    return "", (), ""


def _file(program: Sequence[str], situation: Situation) -> Iterator[Finding]:
    script = next((argument for argument in program[1:] if not argument.startswith("-")), None)
    if script and script.endswith(".py") and not Path(situation.directory, script).is_file():
        yield error(f"the file {script} does not exist in {situation.directory}", "correct the path, or the WORKDIR")


def _workers(server: str, arguments: Sequence[str], environ: Mapping[str, str]) -> Iterator[Finding]:
    """Options that decide how many processes there are, and of what kind."""
    if "--reload" in arguments or (server == "fastapi" and "dev" in arguments[:1]):
        yield ok(
            "reloading is for development: the reloader starts the application as its child, which is traced, and "
            "delivers its spans at every restart"
        )
    count = option(arguments, "--workers", "-w") or environ.get("WEB_CONCURRENCY", "")
    if count.isdigit() and int(count) > 1:
        yield ok(
            f"{count} workers: each counts for itself, so a rate such as 10/s is up to {int(count) * 10}/s in all, and "
            "delivers its spans when it ends"
        )
    if server == "gunicorn":
        yield from _gunicorn(arguments)


def _gunicorn(arguments: Sequence[str]) -> Iterator[Finding]:
    kind = option(arguments, "--worker-class", "-k")
    if not kind:
        if not option(arguments, "--config", "-c"):
            yield warning(
                "gunicorn without --worker-class takes its sync worker, which cannot run an ASGI application such as "
                "FastAPI",
                "pip install uvicorn-worker, and -k uvicorn_worker.UvicornWorker",
            )
    elif kind.partition(".")[0] in ("gevent", "eventlet"):
        yield warning(
            f"gunicorn's {kind} worker patches sockets and threads after tracing has started: spans may be lost",
            "OTEL_PYTHON_AUTO_INSTRUMENTATION_EXPERIMENTAL_GEVENT_PATCH=patch_all, or an asyncio worker",
        )
    elif "." in kind:
        module = kind.rpartition(".")[0]
        top = PathFinder.find_spec(module.partition(".")[0])
        places = list(top.submodule_search_locations or ()) if top else []
        rest = module.partition(".")[2]
        if top is None or (rest and PathFinder.find_spec(module, places) is None):
            yield error(
                f"gunicorn's worker class {kind} is not there: no module {module}",
                "pip install uvicorn-worker, and -k uvicorn_worker.UvicornWorker"
                if "uvicorn" in kind
                else "install it",
            )
        else:
            yield ok(f"gunicorn's worker class {kind} is there")
