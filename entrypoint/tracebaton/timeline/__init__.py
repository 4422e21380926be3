"""`tracebaton timeline`: all log lines of one trace, from all containers or files, in one ordered view."""

from __future__ import annotations

import argparse
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["DESCRIPTION", "add_arguments", "main"]

DESCRIPTION = (
    "Shows the log lines of one trace in the order of their times, indented by hop. Without FILE it reads the "
    "containers of the compose project of this directory. Times without a zone are taken for UTC. Exit status: 0 if "
    "lines were found, 1 if none were or the prefix is that of several traces, 2 if an argument was wrong or something "
    "could not be read, 130 after Ctrl-C."
)
_FEWEST_DIGITS = 4
_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `tracebaton timeline`; cheap, so that `tracebaton --help` is."""
    parser.description = DESCRIPTION
    parser.add_argument(
        "trace_id",
        type=_trace_id,
        metavar="TRACE_ID",
        help=f"32 hexadecimal digits, or the first ones ({_FEWEST_DIGITS} at least) if no other trace begins like that",
    )
    parser.add_argument(
        "files",
        nargs="*",
        metavar="FILE",
        help="log files, gzip'd ones too, or - for stdin; output of `docker compose logs` and Docker's own json-file "
        "logs are understood (default: the containers of the compose project, through Docker)",
    )
    parser.add_argument(
        "-f", "--follow", action="store_true", help="go on with lines as they are written, until Ctrl-C"
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="print one JSON object a line: time, offset_ms, service, level, logger, message, exception, error, hop, "
        "trace_id, span_id, parent_span_id, source, line_number, original",
    )
    parser.add_argument(
        "-p",
        "--project",
        metavar="NAME",
        help="the compose project (default: COMPOSE_PROJECT_NAME, or the one of this directory)",
    )
    for option, which in (("--since", "older"), ("--until", "newer")):
        parser.add_argument(
            option,
            type=_moment,
            metavar="TIME",
            help=f"leave out lines that are {which}: 2026-11-22T20:17:00Z, seconds since 1970, or an age such as 15m "
            "or 1h30m",
        )
    _allow_options_between(parser)


def main(args: argparse.Namespace) -> int:
    """Print the timeline; return the exit status, which DESCRIPTION explains."""
    from tracebaton.timeline.session import run

    return run(args)


def _allow_options_between(parser: argparse.ArgumentParser) -> None:
    """Accept `TRACE_ID --json FILE`: where options stand between, argparse takes FILE for one too many.

    Its remedy, intermixed parsing, is a method that a subcommand's parser is not called by, and that calls the other.
    """
    plain = parser.parse_known_args

    def parse(args: Any = None, namespace: Any = None) -> Any:
        parser.parse_known_args = plain  # type: ignore[method-assign]
        try:
            return parser.parse_known_intermixed_args(args, namespace)
        finally:
            parser.parse_known_args = parse  # type: ignore[method-assign]

    parser.parse_known_args = parse  # type: ignore[method-assign]


def _trace_id(text: str) -> str:
    digits = text.strip().replace("-", "").lower()  # some tools write ids like UUIDs
    if not re.fullmatch(rf"[0-9a-f]{{{_FEWEST_DIGITS},32}}", digits):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no trace id: 32 hexadecimal digits, or its first {_FEWEST_DIGITS} or more"
        )
    if digits == "0" * 32:
        raise argparse.ArgumentTypeError("a trace id of zeros is the invalid one, which no trace has")
    return digits


def _moment(text: str) -> int:
    """Nanoseconds since 1970."""
    import time

    from tracebaton.timeline.timestamps import to_ns

    if re.fullmatch(r"(?:\d{1,9}[dhms])+", text):
        age = sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)([dhms])", text))
        return time.time_ns() - age * 1_000_000_000
    moment = to_ns(text)
    if moment is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time: 2026-11-22T20:17:00Z, seconds since 1970, or an age such as 15m or 1h30m"
        )
    return moment
