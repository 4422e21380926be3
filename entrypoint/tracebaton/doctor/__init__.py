"""`tracebaton doctor [COMMAND ...]`: says what a start of COMMAND here would do, and what is wrong."""

from __future__ import annotations

import argparse

__all__ = ["DESCRIPTION", "add_arguments", "main"]

DESCRIPTION = (
    "Checks, in the container that it is run in: versions, who configures tracing, each OTEL_* variable, the sampling "
    "rules, the instrumentations, the COMMAND that starts the application (it is not run), the way to the receiver, "
    "and whether that takes a span. Its own options stand before COMMAND. Exit status: 0 if nothing is in error, 1 "
    "otherwise, 2 for wrong usage."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `tracebaton doctor`; cheap, so that `tracebaton --help` is."""
    parser.description = DESCRIPTION
    parser.usage = "tracebaton doctor [-h] [--verbose] [--json] [--explain REQUEST] [--no-send] [COMMAND ...]"
    parser.add_argument("--verbose", action="store_true", help="tell all that is well, too, in the order of the checks")
    parser.add_argument("--json", action="store_true", help="print one JSON object: result, trace_id, checks")
    parser.add_argument(
        "--explain",
        action="append",
        default=[],
        metavar="REQUEST",
        help="say which sampling rule decides about it: 'POST /agents/a/chat', or 'CLIENT XREAD' for a span that has "
        "no parent; may be given several times",
    )
    parser.add_argument(
        "--no-send", action="store_true", help="do not talk to the receiver: no lookup, no connection, no test span"
    )
    parser.add_argument(
        "command",
        nargs=argparse.REMAINDER,
        metavar="COMMAND",
        help="the command that starts the application, with its own options, as in the container's CMD",
    )


def main(args: argparse.Namespace) -> int:
    """Print the findings; return the exit status, which DESCRIPTION explains."""
    from tracebaton.doctor.session import run

    command = args.command[1:] if args.command[:1] == ["--"] else args.command
    return run(command, explain=tuple(args.explain), send=not args.no_send, as_json=args.json, verbose=args.verbose)
