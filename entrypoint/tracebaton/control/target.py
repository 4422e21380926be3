"""Who is told: the one service of this container, unless more than that was asked for in so many words.

As root on a machine with several services, in a network or process namespace that containers share, `off` would reach
what nobody thought of. So everybody is asked first who they are; what is then said is heard by the service and the
container that were found, and by nobody who has started meanwhile.
"""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Any

from tracebaton.control.render import elsewhere, in_brief, printable, show
from tracebaton.control.talk import Answers, ask_all
from tracebaton_configurator.live.container import namespace

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

_MOST_LISTED = 20


def tell(request: dict[str, Any], args: argparse.Namespace, words: Sequence[str]) -> int:
    """Have processes do as the request says; `words` is the command as it was given, without options.

    Returns 0 when every one complied, 1 when one failed or there is none, and 2 when nothing was changed because more
    would have been reached than was asked for.
    """
    if args.service is None and not args.all:
        found = ask_all({"do": "status"}, None)
        groups = _groups(found)
        if not groups:
            return show(found, None, as_json=args.json, line=in_brief)
        (service, elsewhere), *others = groups
        if others or elsewhere:
            seconds = request.get("seconds")
            given = words if seconds is None else [*words, "--for", f"{seconds:g}s"]
            print(_stopped(groups, given), file=sys.stderr)  # noqa: T201
            return 2
        request = {**request, "service": service, "container": namespace()}
    return show(ask_all(request, args.service), args.service, as_json=args.json, line=in_brief)


def _groups(found: Answers) -> dict[tuple[str, str], list[int]]:
    """The process ids by service and by container, which is empty for the one that this process is in."""
    groups: dict[tuple[str, str], list[int]] = {}
    for process in found.processes:
        service = process.get("service")
        if isinstance(service, str):  # who is no traced process says anything
            groups.setdefault((service, elsewhere(process)), []).append(process["pid"])
    return dict(sorted(groups.items()))


def _stopped(groups: dict[tuple[str, str], list[int]], words: Sequence[str]) -> str:
    services = sorted({service for service, _ in groups})
    found = [
        f"  {service}: {'process' if len(pids) == 1 else 'processes'} {_listed(pids)}"
        + (f", in another container ({where})" if where else "")
        for (service, where), pids in groups.items()
    ]
    command = shlex.join(["tracebaton", *words])
    lines = [
        f"tracebaton: Nothing was changed: `{words[0]}` would reach more than the one service of this container.",
        *_shortened(found),
        "Say which service is meant, or that all are:",
        *_shortened([f"  {command} {shlex.join(['--service', service])}" for service in services]),
        f"  {command} --all",
    ]
    return "\n".join(printable(line) for line in lines)


def _shortened(lines: list[str]) -> list[str]:
    return lines if len(lines) <= _MOST_LISTED else [*lines[:_MOST_LISTED], f"  and {len(lines) - _MOST_LISTED} more"]


def _listed(pids: list[int]) -> str:
    return ", ".join(_shortened([str(pid) for pid in pids])).replace(",   and", " and")
