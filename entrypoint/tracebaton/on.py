"""`tracebaton on`: takes `tracebaton off` back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracebaton.control import WHERE, add_target

if TYPE_CHECKING:
    import argparse

DESCRIPTION = f"Switches tracing on again in the running processes of this container. {WHERE}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_target(parser)


def main(args: argparse.Namespace) -> int:
    """Returns 0 when every process complied; see `tell`."""
    from tracebaton.control.target import tell

    return tell({"do": "on"}, args, ["on"])
