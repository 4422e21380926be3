"""The `tracebaton` command: one subcommand, one module; those of a running process are of one."""

from __future__ import annotations

import os
import sys
from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Sequence
    from typing import Any

_COMMANDS = {
    "run": "start a command with tracing: tracebaton run uvicorn main:app",
    "doctor": "say what is wrong in this container, and what to do",
    "status": "show what the traced processes of this container do",
    "set": "change the sampling rules of running processes",
    "on": "switch tracing on again in running processes",
    "off": "switch tracing off in running processes",
    "timeline": "show the log lines of a trace, from all containers or files",
    "trace": "tell what failed first in a trace, and where",
    "view": "receive spans and show them, as trees and on a page",
}
_HELP = ("-h", "--help")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the subcommand; returns its exit status."""
    given = list(sys.argv[1:] if argv is None else argv)
    if given[:1] == ["run"] and given[1:2] and given[1] not in _HELP:
        # The way of every container's start: nothing is parsed, for all that follows is the command's.
        from tracebaton.run import run

        return run(given[1:])
    parser, commands = _parser()
    if "_ARGCOMPLETE" in os.environ:  # a shell asks what could come next
        from argcomplete import autocomplete

        autocomplete(parser)
    arguments = parser.parse_args(given)
    status: int = commands[arguments.subcommand].main(arguments)
    return status


def _parser() -> tuple[ArgumentParser, dict[str, Any]]:
    """The parser of everything, and the module of each subcommand."""
    import argparse

    from tracebaton import __version__, control

    parser = argparse.ArgumentParser(
        prog="tracebaton",
        description="Distributed tracing by changing one line per container: its CMD.",
        epilog="tracebaton COMMAND --help says more, and what its exit status means.",
    )
    parser.add_argument("--version", action="version", version=f"tracebaton {__version__}")
    subparsers = parser.add_subparsers(dest="subcommand", metavar="COMMAND", required=True)
    commands: dict[str, Any] = {
        name: control.COMMANDS.get(name) or import_module(f"tracebaton.{name}") for name in _COMMANDS
    }
    for name, summary in _COMMANDS.items():
        description = getattr(commands[name], "DESCRIPTION", summary)
        commands[name].add_arguments(subparsers.add_parser(name, help=summary, description=description))
    return parser, commands


if __name__ == "__main__":
    sys.exit(main())
