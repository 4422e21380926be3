"""`tracebaton status`: what the traced processes of this container are doing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracebaton.control import WHERE, add_selection

if TYPE_CHECKING:
    import argparse

DESCRIPTION = (
    "Shows for each traced process of this container: on or off, the sampling rules in force and since when, the "
    f"exporter and its last error, and what became of the spans. {WHERE}"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_selection(parser)


def main(args: argparse.Namespace) -> int:
    """Returns 0 when every process answered."""
    from tracebaton.control.render import in_full, show
    from tracebaton.control.talk import ask_all

    return show(ask_all({"do": "status"}, args.service), args.service, as_json=args.json, line=in_full)
