"""`tracebaton view`: a local OTLP receiver that shows each trace as a tree, where no Collector runs."""

from __future__ import annotations

import argparse
import math

__all__ = ["DESCRIPTION", "add_arguments", "main"]

DESCRIPTION = (
    "Receives traces over OTLP (gRPC, HTTP/protobuf, HTTP/JSON) and prints each one as a tree once it has gone quiet. "
    "Metrics and logs are accepted and dropped."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `tracebaton view`; cheap, so that `tracebaton --help` is."""
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: %(default)s, reachable from here only)"
    )
    parser.add_argument(
        "--grpc-port",
        type=_port,
        default=4317,
        metavar="PORT",
        help="port for OTLP over gRPC (default: %(default)s; 0: any free one)",
    )
    parser.add_argument(
        "--http-port",
        type=_port,
        metavar="PORT",
        help="port for OTLP over HTTP (default: 4318; 0: any free one); needs tracebaton[view]",
    )
    parser.add_argument(
        "--quiet-after",
        type=_seconds,
        default=2.0,
        metavar="SECONDS",
        help="print a trace this long after its last span; three times as long while a parent is missing, because "
        "services export every five seconds unless told otherwise (default: %(default)s)",
    )
    parser.add_argument(
        "--max-traces",
        type=_count,
        default=1000,
        metavar="N",
        help="hold at most this many traces; the oldest is printed early to make room (default: %(default)s)",
    )
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object a span, as soon as it arrives, instead of trees"
    )


def main(args: argparse.Namespace) -> int:
    """Receive and print until SIGINT, SIGTERM or a closed stdout; return the exit status: not 0 with a sentence."""
    import asyncio

    from tracebaton.view.session import run

    return asyncio.run(run(args))


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"{text!r} is no port: a number from 0 to 65535")
    return int(text)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) >= 1):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of traces: 1 or more")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not (math.isfinite(seconds) and 0 <= seconds <= 3600):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds from 0 to 3600")
    return seconds
