"""Derives a service name from the command that a process was started with, so that none is `unknown_service`."""

from __future__ import annotations

from pathlib import PurePath
from re import compile as regex
from typing import TYPE_CHECKING

from tracebaton_configurator.names import SERVER_COMMANDS

if TYPE_CHECKING:
    from collections.abc import Sequence

# uvicorn, gunicorn, hypercorn and granian all take `package.module:attribute` (or `module:factory()`).
_APP = regex(r"[A-Za-z_]\w*(?:\.\w+)*:[A-Za-z_][\w.]*(?:\(.*\))?")
# Workers of job queues: they take a module, `package.module.attribute` or nothing that names anything (`rq worker`).
_MODULE = regex(r"[A-Za-z_]\w*(?:\.\w+)*")
_TAKE_A_MODULE = frozenset(["arq", "dramatiq", "gunicorn", "huey", "huey_consumer"])
_TAKE_AN_APPLICATION = frozenset(
    [*SERVER_COMMANDS, "arq", "celery", "dramatiq", "faststream", "taskiq", "waitress-serve"]
)
# Names that say "the program" and not which one: half of all services are called main:app and live in /app.
# fmt: off
_GENERIC = frozenset([
    "__main__", "api", "app", "application", "apps", "asgi", "bin", "code", "home", "main", "manage", "opt", "root",
    "run", "server", "service", "src", "srv", "start", "tmp", "usr", "web", "workspace", "wsgi",
    *SERVER_COMMANDS, *_TAKE_A_MODULE, "celery", "faststream", "rq", "taskiq",
])
# fmt: on
# Their value has the shape of an application and is not one (`gunicorn -c python:settings`, `uvicorn --loop a:b`).
_NOT_BEFORE_APP = frozenset(["-c", "--config", "-k", "--worker-class", "--logger-class", "--loop", "--http", "--ws"])


def derive_service_name(command: Sequence[str], directory: str, inherited: str | None = None) -> str:
    """The name of the service that `command` (as in `sys.orig_argv`) starts in `directory`.

    `uvicorn main:app` in `.../agent-a` is `agent-a`; `uvicorn shop.api:app` is `shop`; `python worker.py` is `worker`;
    `python -m shop.worker` is `shop`. A name that says nothing (`main:app` in `/app`) is taken when there is no better.
    A command that names nothing, as that of a spawned worker, takes the name `inherited` from its parent.
    """
    modules = _module_names(command)
    if not modules and inherited:
        return inherited
    candidates = [*modules, *list(reversed(PurePath(directory).parts[1:]))[:2]]
    telling = (candidate for candidate in candidates if candidate not in _GENERIC)
    return next(telling, candidates[0] if candidates else "python")


def says_nothing(name: str) -> bool:
    """Whether half of all services could be called that, as `main` or `app`."""
    return name in _GENERIC or name == "python"


def application_in(arguments: Sequence[str]) -> str | None:
    """What a server is told to import, as `package.module:attribute`."""
    found = [
        (before[:1] == "-", argument)
        for before, argument in zip(["", *arguments], arguments, strict=False)
        if _APP.fullmatch(argument) and before not in _NOT_BEFORE_APP
    ]
    # What follows an option is perhaps its value (`--env DB:x`), and perhaps not (`--factory shop:make`).
    return min(found, key=lambda one: one[0])[1] if found else None


def _module_names(command: Sequence[str]) -> list[str]:
    """The first part of the module that the command runs, as a list of none or one."""
    arguments = _after_interpreter_options(command)
    if arguments[:1] == ["-c"]:
        return []
    application = application_in(arguments)
    # Somewhere: it may run below another program (`debugpy -m uvicorn ...`).
    if application is not None and any(_program(word) in _TAKE_AN_APPLICATION for word in arguments):
        return [application.partition(":")[0].partition(".")[0]]
    if arguments and (taken := _taken_by(_program(arguments[0]), arguments)):
        return taken
    for before, argument in zip(["", *arguments], arguments, strict=False):
        if before == "-m":
            return _taken_by(argument.partition(".")[0], arguments) or [argument.partition(".")[0]]
        if argument.endswith(".py"):
            return [PurePath(argument).stem]
    program = next((argument for argument in arguments if not argument.startswith("-")), None)
    return [PurePath(program).name] if program else []


def _program(word: str) -> str:
    """Of `/usr/bin/gunicorn`, `uvicorn.workers` and their like, what says which program it is."""
    return PurePath(word).name.partition(".")[0]


def _taken_by(worker: str, arguments: Sequence[str]) -> list[str]:
    """The first part of the module that a worker takes; what follows an option is perhaps that one's value."""
    if worker == "celery":
        after = (one for before, one in zip(["", *arguments], arguments, strict=False) if before in ("-A", "--app"))
        given = next((one.partition("=")[2] for one in arguments if one.startswith("--app=")), "") or next(after, "")
        return [given.partition(":")[0].partition(".")[0]] if given else []
    if worker not in _TAKE_A_MODULE:
        return []
    rest = arguments[2 if arguments[0] == "-m" else 1 :]
    words = [(one, before[:1] == "-") for before, one in zip(["", *rest], rest, strict=False) if _MODULE.fullmatch(one)]
    plain = [one for one, follows_option in words if not follows_option]
    return [one.partition(".")[0] for one in (plain or [one for one, _ in words if "." in one])[:1]]


def _after_interpreter_options(command: Sequence[str]) -> list[str]:
    """The command line from the program, `-m` or `-c` on; spawned workers repeat their parent's `-B`, `-X ...`."""
    rest = list(command)[1:]
    while rest and rest[0].startswith("-") and rest[0] not in ("-c", "-m"):
        del rest[: 2 if rest[0] in ("-X", "-W") else 1]
    return rest
