"""A command line, taken apart: what stands before the program, and the program with its own arguments."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from itertools import groupby
from os.path import basename
from typing import TYPE_CHECKING, NamedTuple

from tracebaton.interpreter import is_python
from tracebaton_configurator.names import SERVER_COMMANDS
from tracebaton_configurator.settings.known import known_variables

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["SHELLS", "Launch", "Shell", "main_command", "read_launch", "starts_a_python"]

SHELLS = frozenset(["sh", "bash", "dash", "ash", "zsh", "ksh"])
_INITS = frozenset(["tini", "dumb-init", "docker-init", "catatonit"])
_INSTRUMENT = "opentelemetry-instrument"
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=.*", re.DOTALL)
_SEPARATORS = frozenset([";", "&&", "||", "|", "|&", "&"])


class Shell(NamedTuple):
    """`sh -c SCRIPT`. `replaced`: it becomes the program by `exec`. `after`: what follows the program, if anything."""

    name: str
    replaced: bool
    after: str


@dataclass(slots=True)
class Launch:
    """`launchers`: `tracebaton run` and `opentelemetry-instrument`, in order. `program` is empty for no command.

    `overrides`: variables that options of `opentelemetry-instrument`, or assignments before the command, set.
    """

    program: tuple[str, ...] = ()
    launchers: list[str] = field(default_factory=list)
    inits: list[str] = field(default_factory=list)
    shells: list[Shell] = field(default_factory=list)
    overrides: dict[str, str] = field(default_factory=dict)

    @property
    def is_bare(self) -> bool:
        """Started by upstream's launcher without `tracebaton run` before it."""
        return self.launchers[:1] == [_INSTRUMENT]

    @property
    def name(self) -> str:
        """The program's own name, without its directory."""
        return basename(self.program[0]) if self.program else ""  # noqa: PTH119 (a word, no path)


def read_launch(command: Sequence[str]) -> Launch:
    """Peel init, shell, `env` and launchers off the command, one after the other."""
    launch, rest = Launch(), list(command)
    while rest:
        name = basename(rest[0])  # noqa: PTH119
        if name in _INITS:
            launch.inits.append(name)
            rest = _without_options(rest[1:])
        elif name in SHELLS and (script := _script_of(rest)) is not None:
            rest, after = main_command(script)
            launch.shells.append(Shell(name, rest[:1] == ["exec"], after))
        elif name == "env":
            rest = _without_options(rest[1:], "-u", "-C", "-S")
        elif name == "exec":
            del rest[0]
        elif _ASSIGNMENT.fullmatch(rest[0]):
            variable, _, launch.overrides[variable] = rest.pop(0).partition("=")
        elif name == "tracebaton" and rest[1:2] == ["run"]:
            launch.launchers.append("tracebaton run")
            rest = rest[3:] if rest[2:3] == ["--"] else rest[2:]
        elif name == _INSTRUMENT:
            launch.launchers.append(name)
            rest = _peel_options(rest[1:], launch)
        else:
            break
    launch.program = tuple(rest)
    return launch


def main_command(script: str) -> tuple[list[str], str]:
    """The command of a script that stays, with the beginning of what follows it.

    It is the one with `exec`, else the last that starts a Python, else the last.
    """
    runs = [list(run) for _, run in groupby(_tokens(script), _SEPARATORS.__contains__)]
    commands = [at for at, run in enumerate(runs) if run[0] not in _SEPARATORS]
    if not commands:
        return [], ""
    replacing = [at for at in commands if runs[at][0] == "exec"]
    serving = [at for at in commands if starts_a_python(runs[at])]
    wanted = replacing[0] if replacing else (serving or commands)[-1]
    return runs[wanted], " ".join(run[0] for run in runs[wanted + 1 : wanted + 3]).removesuffix(";")


def starts_a_python(words: Sequence[str]) -> bool:
    """Whether they begin a server, a Python, or what a script was given to start."""
    launch = read_launch(words)
    return bool(launch.launchers) or launch.name in (*SERVER_COMMANDS, "$@", "$*") or is_python(launch.name)


def _tokens(script: str) -> list[str]:
    """Words and operators; a quotation over several lines is not understood, and its words are taken as they are."""
    tokens: list[str] = []
    for line in script.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        try:
            tokens += [*lexer, ";"]
        except ValueError:  # a quotation that is not closed
            tokens += [*line.split(), ";"]
    return tokens


def _script_of(command: Sequence[str]) -> str | None:
    """What a shell is given by `-c`; None for one that runs a file."""
    for at, argument in enumerate(command[1:], 2):
        if not argument.startswith("-"):
            break
        if argument.endswith("c") and not argument.startswith("--"):
            return command[at] if len(command) > at else ""
    return None


def _peel_options(rest: list[str], launch: Launch) -> list[str]:
    """`--service_name shop` is OTEL_SERVICE_NAME (opentelemetry/instrumentation/auto_instrumentation/__init__.py)."""
    while rest and rest[0].startswith("--") and rest[0] != "--":
        name, equals, value = rest[0][2:].partition("=")
        variables = (f"OTEL_{name.upper()}", f"OTEL_PYTHON_{name.upper()}")
        variable = next((one for one in variables if one in known_variables()), variables[0])
        launch.overrides[variable] = value if equals else "".join(rest[1:2])
        rest = rest[1 if equals else 2 :]
    return rest[1:] if rest[:1] == ["--"] else rest


def _without_options(rest: list[str], *with_value: str) -> list[str]:
    while rest and rest[0].startswith("-"):
        if rest[0] == "--":
            return rest[1:]
        rest = rest[2 if rest[0] in with_value else 1 :]
    return rest
