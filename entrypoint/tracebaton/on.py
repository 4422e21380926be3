"""`tracebaton on`: takes `tracebaton off` back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracebaton.control import WHERE, add_selection

if TYPE_CHECKING:
    import argparse

DESCRIPTION = f"Switches tracing on again in the running processes of this container. {WHERE}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_selection(parser)


def main(args: argparse.Namespace) -> int:
    """Returns 0 when every process complied."""
    from tracebaton.control.render import in_brief, show
    from tracebaton.control.talk import ask_all

    return show(ask_all({"do": "on"}, args.service), args.service, as_json=args.json, line=in_brief)
