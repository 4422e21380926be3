"""The `tracebaton` command: one subcommand, one module; those of a running process are of one."""

from __future__ import annotations

import sys
from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_COMMANDS = {
    "run": "start a command with tracing: tracebaton run uvicorn main:app",
    "doctor": "say what a start would do here, and what is wrong: tracebaton doctor uvicorn main:app",
    "status": "show what the traced processes of this container are doing",
    "set": "set the sampling rules of the running processes of this container",
    "on": "switch tracing on again in the running processes of this container",
    "off": "switch tracing off in the running processes of this container",
    "timeline": "show all log lines of one trace, from all containers or files, in one order",
    "trace": "tell what failed first in a trace, the path to it, its log lines, and what differs from the last good one",
    "view": "receive spans on 4317 and 4318 and show each trace as a tree",
}
_HELP = ("-h", "--help")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the subcommand; returns its exit status."""
    given = list(sys.argv[1:] if argv is None else argv)
    if given[:1] == ["run"] and given[1:2] and given[1] not in _HELP:
        # The way of every container's start: nothing is parsed, for all that follows is the command's.
        from tracebaton.run import run

        return run(given[1:])
    import argparse

    from tracebaton import __version__, control

    parser = argparse.ArgumentParser(
        prog="tracebaton", description="Distributed tracing by changing one line per container: its CMD."
    )
    parser.add_argument("--version", action="version", version=f"tracebaton {__version__}")
    subparsers = parser.add_subparsers(dest="subcommand", metavar="COMMAND", required=True)
    commands: dict[str, Any] = {
        name: control.COMMANDS.get(name) or import_module(f"tracebaton.{name}") for name in _COMMANDS
    }
    for name, summary in _COMMANDS.items():
        description = getattr(commands[name], "DESCRIPTION", summary)
        commands[name].add_arguments(subparsers.add_parser(name, help=summary, description=description))
    arguments = parser.parse_args(given)
    status: int = commands[arguments.subcommand].main(arguments)
    return status


if __name__ == "__main__":
    sys.exit(main())
