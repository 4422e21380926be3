"""`tracebaton view`: a local OTLP receiver that shows traces as trees and on a page, where no Collector runs."""

from __future__ import annotations

import argparse
import math

__all__ = ["DESCRIPTION", "add_arguments", "main"]

DESCRIPTION = (
    "Receives traces and logs over OTLP (gRPC, HTTP/protobuf, HTTP/JSON), prints each trace as a tree once it has gone "
    "quiet, and serves a page with all of them on http://127.0.0.1:4319. Metrics are accepted and dropped."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `tracebaton view`; cheap, so that `tracebaton --help` is."""
    parser.add_argument(
        "files",
        nargs="*",
        metavar="FILE",
        help="show this OTLP JSON file on the page instead of receiving; - is stdin, with JSON log lines as of --logs",
    )
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
        "--db",
        metavar="FILE",
        help="keep traces and log lines in this SQLite file (default: a temporary one, which is removed at the end)",
    )
    parser.add_argument(
        "--max-mb",
        type=_megabytes,
        default=256,
        metavar="N",
        help="bound of that file in MiB; the oldest traces go to make room (default: %(default)s)",
    )
    parser.add_argument(
        "--web-port",
        type=_port,
        metavar="PORT",
        help="port for the page (default: 4319; 0: any free one); needs tracebaton[view]",
    )
    parser.add_argument(
        "--web-host",
        default="127.0.0.1",
        metavar="HOST",
        help="address of the page (default: %(default)s, reachable from here only; whoever reaches it can read every "
        "trace). In a container 0.0.0.0, with the port published on the machine's 127.0.0.1",
    )
    parser.add_argument("--no-web", action="store_true", help="serve no page")
    parser.add_argument(
        "--logs",
        nargs="+",
        action="extend",
        default=[],
        metavar="FILE",
        help="show the JSON log lines of these files in their traces, and what is written to them; - is stdin",
    )
    parser.add_argument(
        "--docker", action="store_true", help="the same of the compose project's containers, through Docker"
    )
    parser.add_argument(
        "-p",
        "--project",
        metavar="NAME",
        help="the compose project (default: COMPOSE_PROJECT_NAME, or the one of this directory)",
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


def _megabytes(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 16 <= int(text) <= 1_000_000):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of MiB from 16 to 1000000")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not (math.isfinite(seconds) and 0 <= seconds <= 3600):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds from 0 to 3600")
    return seconds
