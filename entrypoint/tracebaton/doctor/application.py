"""Whether the application that a server is told to import is there; found and read, never imported."""

from __future__ import annotations

import ast
import os
import re
import sys
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING

from tracebaton.doctor.finding import Finding, closest, error, nearest, ok, warning

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tracebaton.doctor.situation import Situation

__all__ = ["check_application", "option"]

_APP = re.compile(r"(?P<module>[A-Za-z_]\w*(?:\.\w+)*):(?P<attribute>[A-Za-z_][\w.]*)(?P<call>\(.*\))?")
_DIRECTORIES = {"uvicorn": ("--app-dir",), "gunicorn": ("--chdir", "--pythonpath"), "granian": ("--working-dir",)}
# Options of the servers that have no value; all others have one. Of uvicorn, gunicorn, hypercorn and granian.
_FLAGS = re.compile(
    r"--(?:reload|factory|no-.+|use-colors|proxy-headers|server-header|date-header|access-log|preload|daemon|debug"
    r"|version|help|h2c|enable-.+|reuse-port|log|ws|respawn-.+|url-path-prefix|check-config|print-config|spew)|-[DR]"
)


def check_application(server: str, arguments: Sequence[str], situation: Situation) -> Iterator[Finding]:
    """`module:attribute` among the arguments, for every server but fastapi, which takes a path."""
    if server == "fastapi":
        yield from _of_fastapi(arguments, situation)
        return
    given = _positional(arguments)
    if given is None:
        if not option(arguments, "--config", "-c"):
            yield error(f"{server} is given no application", f"{server} main:app")
        return
    match = _APP.fullmatch(given)
    if match is None:
        if server == "uvicorn":
            yield error(f"{given!r} is no application: uvicorn wants MODULE:ATTRIBUTE", _guess(given))
        return
    found = _find(match["module"], _places(server, arguments, situation))
    if isinstance(found, str):
        yield error(
            f"the application {given} is not there: {found}; the server ends before it listens",
            "correct the name, or the directory that the container starts in (WORKDIR, --app-dir)",
        )
        return
    names = _top_level_names(found)
    attribute = match["attribute"].partition(".")[0]
    if names is not None and attribute not in names:
        candidates = sorted(name for name, is_app in names.items() if is_app or "app" in name.lower())
        likely = closest(attribute, candidates) or next((name for name in candidates if names[name]), "")
        yield error(
            f"{found} has no {attribute!r}{nearest(attribute, candidates)}",
            f"{server} {match['module']}:{likely}" if likely else "correct the name after the colon",
        )
        return
    yield ok(f"the application {given} is in {found}")


def option(arguments: Sequence[str], *names: str) -> str:
    """The value of the last of these options, written `--name VALUE`, `--name=VALUE` or `-nVALUE`; else empty."""
    value = ""
    for at, argument in enumerate(arguments):
        for name in names:
            if argument == name and len(arguments) > at + 1:
                value = arguments[at + 1]
            elif argument.startswith(f"{name}=") or (len(name) == 2 and argument[:2] == name and len(argument) > 2):
                value = argument[len(name) :].removeprefix("=")
    return value


def _positional(arguments: Sequence[str]) -> str | None:
    """The application: what has its shape, else the first argument that is neither an option nor the value of one."""
    before = ""
    first = None
    for argument in arguments:
        is_value = before.startswith("-") and "=" not in before and _FLAGS.fullmatch(before) is None
        if not argument.startswith("-"):
            if not is_value and _APP.fullmatch(argument):
                return argument
            if not is_value and first is None:
                first = argument
        before = argument
    return first


def _places(server: str, arguments: Sequence[str], situation: Situation) -> list[str]:
    """Where the server's Python would look."""
    given = [option(arguments, name) for name in _DIRECTORIES.get(server, ())]
    python_path = situation.environ.get("PYTHONPATH", "").split(os.pathsep)
    own = [place for place in sys.path if place]
    here = Path(situation.directory)
    return [str(here / place) for place in (*filter(None, given), "", *filter(None, python_path))] + own


def _find(module: str, places: list[str]) -> Path | str:
    """The file of the module, or in words what is missing of it."""
    searched: list[str] = places
    parts = module.split(".")
    for depth in range(len(parts)):
        name = ".".join(parts[: depth + 1])
        spec = PathFinder.find_spec(name, searched)
        if spec is None:
            place = places[0] if depth == 0 else searched[0] if searched else "its package"
            return f"there is no module {name} in {place}"
        if depth == len(parts) - 1:
            if spec.origin is None or not spec.has_location:
                return f"{name} is a directory without __init__.py"
            return Path(spec.origin)
        searched = list(spec.submodule_search_locations or ())
        if not searched:
            return f"{name} is a module, not a package"
    return "the name is empty"


def _top_level_names(file: Path) -> dict[str, bool] | None:
    """What the module binds, and whether as an application; None where that cannot be told without running it."""
    if file.suffix != ".py":
        return None
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return None
    names: dict[str, bool] = {}
    pending: list[ast.AST] = list(tree.body)
    while pending:
        node = pending.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            if node.name == "__getattr__":
                return None
            names[node.name] = False
            continue
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            for alias in node.names:
                if alias.name == "*":
                    return None
                names[(alias.asname or alias.name).partition(".")[0]] = False
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.setdefault(node.id, False)
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and isinstance(node.value, ast.Call):
            made = ast.unparse(node.value.func).rpartition(".")[2]
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {one.id: made in ("FastAPI", "Starlette") for one in targets if isinstance(one, ast.Name)}
        pending.extend(ast.iter_child_nodes(node))
    return names


def _of_fastapi(arguments: Sequence[str], situation: Situation) -> Iterator[Finding]:
    """`fastapi run [PATH]` and `fastapi dev [PATH]`."""
    if not arguments or arguments[0] not in ("run", "dev"):
        return
    given = next((one for one in arguments[1:] if one.endswith(".py")), None)
    if given is None:
        yield warning("`fastapi run` looks for the application by itself, which is not checked here")
    elif not Path(situation.directory, given).is_file():
        yield error(f"the file {given} does not exist in {situation.directory}", "correct the path, or the WORKDIR")
    else:
        yield ok(f"the application is in {given}")


def _guess(given: str) -> str:
    stem = given.removesuffix(".py").replace("/", ".").strip(".")
    return f"uvicorn {stem}:app" if re.fullmatch(r"[\w.]+", stem) else "uvicorn main:app"
