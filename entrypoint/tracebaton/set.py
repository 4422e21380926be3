"""`tracebaton set sampling RULES`: other sampling rules in the running processes of this container."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from tracebaton.control import WHERE, add_duration, add_target, for_words

if TYPE_CHECKING:
    import argparse

DESCRIPTION = (
    "Sets the sampling rules of the running processes of this container, in the grammar of OTEL_TRACES_SAMPLER_ARG. "
    "Paths without a rule of their own follow the default rules; `reset` goes back to what the variables say. " + WHERE
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=["sampling"], metavar="sampling", help="what to set")
    parser.add_argument("rules", metavar="RULES", help="rules such as 'POST /agents/{name}/chat=1, *=10%%', or reset")
    add_duration(parser)
    add_target(parser)


def main(args: argparse.Namespace) -> int:
    """Returns 0 when every process complied, 2 for rules that are none: then no process has been told; see `tell`."""
    from tracebaton.control.target import tell
    from tracebaton_configurator.sampling.rules import RuleError, effective_rules

    if args.rules.strip().lower() == "reset":
        if args.seconds is not None:
            print("tracebaton: `reset` is for good and takes no --for. Nothing was changed.", file=sys.stderr)  # noqa: T201
            return 2
        request = {"do": "reset"}
    else:
        try:
            if not args.rules.strip():
                raise RuleError("no rules: there is nothing between the quotes")
            effective_rules(args.rules)
        except RuleError as error:
            sentence = f"{error}. Nothing was changed. Rules are such as 'POST /chat=1, GET /health*=0, *=10/s+10%'."
            print(f"tracebaton: {sentence}", file=sys.stderr)  # noqa: T201
            return 2
        request = {"do": "set", "rules": args.rules, "seconds": args.seconds}
    return tell(request, args, ["set", "sampling", args.rules, *for_words(args)])
