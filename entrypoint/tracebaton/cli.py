"""The `tracebaton` command: one subcommand, one module."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from tracebaton import __version__, run, view

if TYPE_CHECKING:
    from collections.abc import Sequence

_COMMANDS = {
    "run": (run, "start a command with tracing: tracebaton run uvicorn main:app"),
    "view": (view, "receive spans on 4317 and 4318 and show each trace as a tree"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the subcommand; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="tracebaton", description="Distributed tracing by changing one line per container: its CMD."
    )
    parser.add_argument("--version", action="version", version=f"tracebaton {__version__}")
    subparsers = parser.add_subparsers(dest="subcommand", metavar="COMMAND", required=True)
    for name, (module, summary) in _COMMANDS.items():
        module.add_arguments(subparsers.add_parser(name, help=summary, description=summary))
    arguments = parser.parse_args(argv)
    status: int = _COMMANDS[arguments.subcommand][0].main(arguments)
    return status


if __name__ == "__main__":
    sys.exit(main())
