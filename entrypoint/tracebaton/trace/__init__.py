"""`tracebaton trace`: one trace in under 60 lines of text, or as JSON, for people in a hurry, scripts and coding agents."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

__all__ = ["DESCRIPTION", "add_arguments", "main"]

DESCRIPTION = (
    "Tells of one trace what failed first, the path to it, its log lines, and what differs from the last good trace of "
    "the same endpoint. It asks the `tracebaton view` that runs on this machine, or with --db reads the file that one has "
    "written. Exit status: 0 if there is such a trace, 1 if not, 2 if an argument was wrong or nothing could be asked."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `tracebaton trace`; cheap, so that `tracebaton --help` is."""
    parser.description = DESCRIPTION
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "trace_id",
        nargs="?",
        type=_trace_id,
        metavar="ID",
        help="32 hexadecimal digits, or the first six or more if no other trace begins like that",
    )
    which.add_argument("--last", action="store_true", help="the newest trace (the default)")
    which.add_argument("--last-error", action="store_true", help="the newest trace with an error")
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object: trace, failed_first, path, logs, differences"
    )
    parser.add_argument(
        "--compare", action="store_true", help="all that differs from the last good trace, and of a good one, too"
    )
    parser.add_argument("--db", metavar="FILE", help="the file of `tracebaton view --db FILE`, which need not run")
    parser.add_argument(
        "--web-port",
        type=_port,
        default=4319,
        metavar="PORT",
        help="the port of the viewer's page (default: %(default)s)",
    )


def main(args: argparse.Namespace) -> int:
    """Print what was asked for; return the exit status, which DESCRIPTION explains."""
    from tracebaton.trace.session import run

    return run(args)


def _trace_id(text: str) -> str:
    import argparse

    digits = text.strip().replace("-", "").lower()
    if not re.fullmatch(r"[0-9a-f]{6,32}", digits):
        raise argparse.ArgumentTypeError(f"{text!r} is no trace id: 32 hexadecimal digits, or the first six or more")
    return digits


def _port(text: str) -> int:
    import argparse

    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"{text!r} is no port: a number from 1 to 65535")
    return int(text)
