"""What `tracebaton on`, `off`, `set` and `status` share: a talk with the traced processes of this container."""

from __future__ import annotations

import argparse

__all__ = ["WHERE", "add_duration", "add_selection"]

WHERE = (
    "Run it in the container (docker exec), as the application's user or root. The state lives in the memory of the "
    "processes: nothing is written, workers that start later take it over from their parent, and a restart of the "
    "container begins with its variables again."
)


def add_selection(parser: argparse.ArgumentParser) -> None:
    """Declare the options that say which processes are meant."""
    parser.add_argument(
        "--service", metavar="NAME", help="only processes of this service (default: every traced process here)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object a process")


def add_duration(parser: argparse.ArgumentParser) -> None:
    """Declare `--for`."""
    parser.add_argument(
        "--for",
        dest="seconds",
        type=_duration,
        metavar="DURATION",
        help="take it back by itself after this time, such as 90s, 10m or 1h",
    )


def _duration(text: str) -> float:
    from tracebaton_configurator.settings.reader import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} {error}: a duration such as 90s, 10m or 1h") from None
