"""A command line, taken apart: what stands before the program, and the program with its own arguments."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from os.path import basename
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Launch", "Shell", "read_launch"]

_SHELLS = frozenset(["sh", "bash", "dash", "ash", "zsh", "ksh"])
_INITS = frozenset(["tini", "dumb-init", "docker-init", "catatonit"])
_INSTRUMENT = "opentelemetry-instrument"
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=.*", re.DOTALL)
_SEPARATORS = frozenset([";", "&&", "||", "|", "&", "\n"])


@dataclass(frozen=True, slots=True)
class Shell:
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
        return bool(self.launchers) and self.launchers[0] == _INSTRUMENT

    @property
    def name(self) -> str:
        """The program's own name, without its directory."""
        return basename(self.program[0]) if self.program else ""  # noqa: PTH119 (a word, no path)


def read_launch(command: Sequence[str]) -> Launch:
    """Peel init, shell, `env` and launchers off the command, one after the other."""
    launch = Launch()
    rest = list(command)
    for _ in range(20):  # as deep as nobody nests them
        peeled = _peel(rest, launch)
        if peeled is None:
            break
        rest = peeled
    launch.program = tuple(rest)
    return launch


def _peel(command: list[str], launch: Launch) -> list[str] | None:
    """What is left without the outermost; None where that is the program."""
    if not command:
        return None
    name = basename(command[0])  # noqa: PTH119
    if name in _INITS:
        launch.inits.append(name)
        return _without_options(command[1:], ())
    if name in _SHELLS:
        return _peel_shell(name, command, launch)
    if name == "env":
        return _peel_assignments(_without_options(command[1:], ("-u", "-C", "-S")), launch)
    if name == "exec" or _ASSIGNMENT.fullmatch(command[0]):
        return _peel_assignments(command[1:] if name == "exec" else command, launch)
    if name == "tracebaton" and command[1:2] == ["run"]:
        launch.launchers.append("tracebaton run")
        return command[3:] if command[2:3] == ["--"] else command[2:]
    if name == _INSTRUMENT:
        launch.launchers.append(_INSTRUMENT)
        return _peel_options(command[1:], launch)
    return None


def _peel_options(rest: list[str], launch: Launch) -> list[str]:
    """`--service_name shop` is OTEL_SERVICE_NAME (opentelemetry/instrumentation/auto_instrumentation/__init__.py)."""
    while rest and rest[0].startswith("--") and rest[0] != "--":
        name, equals, value = rest[0][2:].partition("=")
        if not equals:
            value = rest[1] if len(rest) > 1 else ""
        of_python = name in ("distro", "configurator", "id_generator", "disabled_instrumentations", "context")
        launch.overrides[f"OTEL_{'PYTHON_' if of_python else ''}{name.upper()}"] = value
        rest = rest[1 if equals else 2 :]
    return rest[1:] if rest[:1] == ["--"] else rest


def _peel_assignments(rest: list[str], launch: Launch) -> list[str]:
    while rest and _ASSIGNMENT.fullmatch(rest[0]):
        name, _, value = rest[0].partition("=")
        launch.overrides[name] = value
        rest = rest[1:]
    return rest


def _peel_shell(name: str, command: list[str], launch: Launch) -> list[str] | None:
    """`sh -c SCRIPT`; None for a shell that runs a file."""
    for at, argument in enumerate(command[1:], 1):
        if not argument.startswith("-"):
            return None
        if argument.endswith("c") and not argument.startswith("--"):
            script = command[at + 1] if len(command) > at + 1 else ""
            main, after = main_command(script)
            replaced = main[:1] == ["exec"]
            launch.shells.append(Shell(name, replaced, after))
            return main
    return None


def main_command(script: str) -> tuple[list[str], str]:
    """The command of a script that stays: the one with `exec`, else the last but for trivial ones; and what follows."""
    commands: list[tuple[list[str], str]] = [([], "")]
    for token in _tokens(script):
        if token in _SEPARATORS:
            commands[-1] = (commands[-1][0], token)
            commands.append(([], ""))
        else:
            commands[-1][0].append(token)
    commands = [one for one in commands if one[0]]
    if not commands:
        return [], ""
    trivial = ("true", ":", "exit", "echo", "wait", "sleep", "cd", "set", "export", "trap", "cat", "tee")
    wanted = next((at for at, (words, _) in enumerate(commands) if words[0] == "exec"), None)
    if wanted is None:
        serving = [at for at, (words, _) in enumerate(commands) if words[0] not in trivial]
        wanted = serving[-1] if serving else len(commands) - 1
    words, separator = commands[wanted]
    following = [" ".join(one[:1]) for one, _ in commands[wanted + 1 :]]
    return words, " ".join([separator, *following]).strip() if following or separator == "&" else ""


def _tokens(script: str) -> list[str]:
    """Words and separators; a quotation over several lines is not understood, and its words are taken as they are."""
    tokens: list[str] = []
    for line in script.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|")
        lexer.whitespace_split = True
        try:
            tokens += [*lexer, ";"]
        except ValueError:  # a quotation that is not closed
            tokens += [*line.split(), ";"]
    return tokens


def _without_options(rest: list[str], with_value: tuple[str, ...]) -> list[str]:
    while rest and rest[0].startswith("-"):
        if rest[0] == "--":
            return rest[1:]
        rest = rest[2 if rest[0] in with_value else 1 :]
    return rest
