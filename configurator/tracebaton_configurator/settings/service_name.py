"""Derives a service name from the command that a process was started with, so that none is `unknown_service`."""

from __future__ import annotations

from pathlib import PurePath
from re import compile as regex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# uvicorn, gunicorn, hypercorn and granian all take `package.module:attribute` (or `module:factory()`).
_APP = regex(r"(?P<module>[A-Za-z_]\w*(?:\.\w+)*):[A-Za-z_][\w.]*(?:\(.*\))?")
# Names that say "the program" and not which one: half of all services are called main:app and live in /app.
# fmt: off
_GENERIC = frozenset([
    "__main__", "api", "app", "application", "apps", "asgi", "bin", "code", "home", "main", "manage", "opt", "root", "run",
    "server", "service", "src", "srv", "start", "tmp", "usr", "web", "workspace", "wsgi",
    "daphne", "fastapi", "granian", "gunicorn", "hypercorn", "uvicorn",
])
# fmt: on
# Their value has the shape of an application and is not one (`gunicorn -c python:settings`, `uvicorn --loop a:b`).
_NOT_BEFORE_APP = frozenset(["-c", "--config", "-k", "--worker-class", "--logger-class", "--loop", "--http", "--ws"])


def derive_service_name(command: Sequence[str], directory: str) -> str | None:
    """The name of the service that `command` (as in `sys.orig_argv`) starts in `directory`; None for no command at all.

    `uvicorn main:app` in `.../agent-a` is `agent-a`; `uvicorn shop.api:app` is `shop`; `python worker.py` is `worker`;
    `python -m shop.worker` is `shop`. A name that says nothing (`main:app` in `/app`) is taken when there is no better.
    """
    candidates = [*_module_names(command), *reversed(PurePath(directory).parts[1:])]
    for candidate in candidates[:3]:
        if candidate not in _GENERIC:
            return candidate
    return candidates[0] if candidates and _module_names(command) else None


def _module_names(command: Sequence[str]) -> list[str]:
    """The first part of the module that the command runs, as a list of none or one."""
    arguments = list(command)[1:]
    if not arguments or arguments[0] == "-c":
        return []
    for before, argument in zip(["", *arguments], arguments, strict=False):
        match = _APP.fullmatch(argument)
        if match is not None and before not in _NOT_BEFORE_APP:
            return [match["module"].partition(".")[0]]
    for before, argument in zip(["", *arguments], arguments, strict=False):
        if before == "-m":
            return [argument.partition(".")[0]]
        if argument.endswith(".py"):
            return [PurePath(argument).stem]
    program = next((argument for argument in arguments if not argument.startswith("-")), None)
    return [PurePath(program).name] if program else []
