"""`tracebaton off`: no tracing in the running processes of this container, until `on` or the end of a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracebaton.control import WHERE, add_duration, add_target, for_words

if TYPE_CHECKING:
    import argparse

DESCRIPTION = (
    "Switches tracing off in the running processes of this container: from the next request on there are no spans, no "
    f"ids in its logs and no trace headers to other services. Requests under way end as they began. {WHERE}"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_duration(parser)
    add_target(parser)


def main(args: argparse.Namespace) -> int:
    """Returns 0 when every process complied; see `tell`."""
    from tracebaton.control.target import tell

    return tell({"do": "off", "seconds": args.seconds}, args, ["off", *for_words(args)])
