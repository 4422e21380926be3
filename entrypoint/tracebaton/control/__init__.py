"""`tracebaton on`, `off`, `set` and `status`: a talk with the traced processes of this container."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["COMMANDS", "Command"]

_WHERE = (
    "Run it in the container (docker exec), as the application's user or root. The state lives in the memory of the "
    "processes: nothing is written, workers that start later take it over from their parent, and a restart of the "
    "container begins with its variables again."
)


class Command(NamedTuple):
    """What a module is for other commands. `main` returns 0 when every process complied; see `tell`."""

    DESCRIPTION: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    main: Callable[[argparse.Namespace], int]


def _add_selection(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--service", metavar="NAME", help="only processes of this service (default: every traced process here)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object a process")


def _status(args: argparse.Namespace) -> int:
    from tracebaton.control.render import in_full, show
    from tracebaton.control.talk import ask_all

    return show(ask_all({"do": "status"}, args.service), args.service, as_json=args.json, line=in_full)


def _add_target(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--service",
        metavar="NAME",
        help="the processes of this service, wherever they can be reached from here (default: those of this container; "
        "where that is more than one service, or another container can be reached, nothing is changed)",
    )
    which.add_argument("--all", action="store_true", help="every traced process that can be reached from here")
    parser.add_argument("--json", action="store_true", help="print one JSON object a process")


def _on(args: argparse.Namespace) -> int:
    from tracebaton.control.target import tell

    return tell({"do": "on"}, args, ["on"])


def _add_duration(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--for",
        dest="seconds",
        type=_duration,
        metavar="DURATION",
        help="take it back by itself after this time, such as 90s, 10m or 1h",
    )
    _add_target(parser)


def _duration(text: str) -> float:
    from tracebaton_configurator.settings.reader import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} {error}: a duration such as 90s, 10m or 1h") from None


def _off(args: argparse.Namespace) -> int:
    from tracebaton.control.target import tell

    return tell({"do": "off", "seconds": args.seconds}, args, ["off"])


def _add_rules(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=["sampling"], metavar="sampling", help="what to set")
    parser.add_argument("rules", metavar="RULES", help="rules such as 'POST /agents/{name}/chat=1, *=10%%', or reset")
    _add_duration(parser)


def _set(args: argparse.Namespace) -> int:
    """As the others, and 2 for rules that are none: then no process has been told."""
    from tracebaton.control.target import tell
    from tracebaton_configurator.sampling.rules import RuleError, effective_rules

    request, wrong = {"do": "set", "rules": args.rules, "seconds": args.seconds}, ""
    if args.rules.strip().lower() == "reset":
        request = {"do": "reset"}
        wrong = "`reset` is for good and takes no --for. Nothing was changed." if args.seconds is not None else ""
    else:
        try:
            if not args.rules.strip():
                raise RuleError("no rules: there is nothing between the quotes")
            effective_rules(args.rules)
        except RuleError as error:
            wrong = f"{error}. Nothing was changed. Rules are such as 'POST /chat=1, GET /health*=0, *=10/s+10%'."
    if wrong:
        print(f"tracebaton: {wrong}", file=sys.stderr)  # noqa: T201
        return 2
    return tell(request, args, ["set", "sampling", args.rules])


COMMANDS = {
    "status": Command(
        "Shows for each traced process of this container: on or off, the sampling rules in force and since when, the "
        f"exporter and its last error, and what became of the spans. {_WHERE}",
        _add_selection,
        _status,
    ),
    "set": Command(
        "Sets the sampling rules of the running processes of this container, in the grammar of "
        "OTEL_TRACES_SAMPLER_ARG. Paths without a rule of their own follow the default rules; `reset` goes back to "
        f"what the variables say. {_WHERE}",
        _add_rules,
        _set,
    ),
    "on": Command(f"Switches tracing on again in the running processes of this container. {_WHERE}", _add_target, _on),
    "off": Command(
        "Switches tracing off in the running processes of this container: from the next request on there are no "
        "spans, no ids in its logs and no trace headers to other services. Requests under way end as they began. "
        f"{_WHERE}",
        _add_duration,
        _off,
    ),
}
