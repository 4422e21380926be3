"""The three ways to print findings: for a terminal, where rich is installed, for a log, and as JSON."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from importlib.util import find_spec
from itertools import groupby
from typing import TYPE_CHECKING, TextIO

from tracebaton.doctor.finding import Status, worst
from tracebaton_configurator import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tracebaton.doctor.finding import Finding

__all__ = ["in_brief", "print_findings"]

_MARKS = {Status.OK: ("✓", "green"), Status.WARNING: ("!", "yellow"), Status.ERROR: ("✗", "bold red")}


def print_findings(
    findings: Sequence[Finding], trace_id: str | None, stream: TextIO, *, as_json: bool, verbose: bool = False
) -> None:
    """Write them, all of them as JSON and where it is `verbose`, else as `in_brief` has them (OSError)."""
    shown = findings if verbose else in_brief(findings)
    if stream.isatty() and not as_json and find_spec("rich") is not None:
        _print_rich(shown, _summary(findings), stream)
        return
    text = _json(findings, trace_id) if as_json else "\n".join([*map(_plain, shown), _summary(findings)])
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
    stream.flush()


def in_brief(findings: Sequence[Finding]) -> list[Finding]:
    """What is wrong, the gravest first; what was asked; and of what is well the first of each check."""
    shown = [one for status in (Status.ERROR, Status.WARNING) for one in findings if one.status is status]
    well = [one for one in findings if one.status is Status.OK]
    shown += [one for one in well if one.asked]
    for _, group in groupby((one for one in well if not one.asked), lambda one: one.check):
        first, *others = group
        more = f" ({len(others)} more: --verbose)" if others else ""
        shown.append(replace(first, message=first.message.rstrip(".") + more))
    return shown


def _json(findings: Sequence[Finding], trace_id: str | None) -> str:
    document = {
        "result": worst(findings).value,
        "version": __version__,
        "trace_id": trace_id,
        "checks": [
            {"check": one.check, "status": one.status.value, "message": one.message, "remedy": one.remedy}
            for one in findings
        ],
    }
    return json.dumps(document, indent=2)


def _plain(finding: Finding) -> str:
    """One line: status, check, what was found, what to do."""
    remedy = f". To do: {finding.remedy}." if finding.remedy else ""
    return f"{finding.status.value:<7} {finding.check}: {finding.message.rstrip('.')}{remedy}"


def _summary(findings: Sequence[Finding]) -> str:
    found = Counter(one.status for one in findings)
    words = [
        f"{found[status]} {status.value}{'s' if found[status] > 1 else ''}"
        for status in (Status.ERROR, Status.WARNING)
        if found[status]
    ]
    return f"tracebaton doctor: {', '.join(words) or 'all is well'}"


def _print_rich(findings: Sequence[Finding], summary: str, stream: TextIO) -> None:
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    console = Console(file=stream, highlight=False, markup=False, emoji=False)
    ascii_only = console.options.ascii_only

    def text(words: str, style: str = "") -> Text:
        return Text(words.encode(console.encoding, "backslashreplace").decode(console.encoding), style)

    for check, group in groupby(findings, lambda one: one.check):
        rows = Table.grid(padding=(0, 1))
        for finding in group:
            mark, style = _MARKS[finding.status]
            message = text(finding.message, "" if finding.status is Status.OK else style)
            rows.add_row(Text(finding.status.value if ascii_only else mark, style), message)
            if finding.remedy:
                rows.add_row("", text(("-> " if ascii_only else "→ ") + finding.remedy, "cyan"))
        console.print(Text(f"\n{check}", "bold"))
        console.print(Padding(rows, (0, 0, 0, 2)))
    console.print(Text(f"\n{summary}", _MARKS[worst(findings)][1]))
