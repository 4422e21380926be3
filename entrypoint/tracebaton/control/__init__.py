"""What `tracebaton on`, `off`, `set` and `status` share: a talk with the traced processes of this container."""

from __future__ import annotations

import argparse

__all__ = ["WHERE", "add_duration", "add_selection", "add_target", "for_words"]

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


def add_target(parser: argparse.ArgumentParser) -> None:
    """As `add_selection`, for a command that changes something."""
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--service",
        metavar="NAME",
        help="the processes of this service, wherever they can be reached from here (default: those of this container; "
        "where that is more than one service, or another container can be reached, nothing is changed)",
    )
    which.add_argument("--all", action="store_true", help="every traced process that can be reached from here")
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


def for_words(args: argparse.Namespace) -> list[str]:
    """What was given as `--for`, to be said again."""
    return [] if args.seconds is None else ["--for", f"{args.seconds:g}s"]


def _duration(text: str) -> float:
    from tracebaton_configurator.settings.reader import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} {error}: a duration such as 90s, 10m or 1h") from None
