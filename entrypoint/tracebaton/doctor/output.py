"""The three ways to print findings: for a terminal, for a log, and as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING, TextIO

from tracebaton.doctor.finding import Status, worst
from tracebaton_configurator import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tracebaton.doctor.finding import Finding

__all__ = ["print_findings"]

_MARKS = {Status.OK: ("✓", "green"), Status.WARNING: ("!", "yellow"), Status.ERROR: ("✗", "bold red")}


def print_findings(findings: Sequence[Finding], trace_id: str | None, stream: TextIO, *, as_json: bool) -> None:
    """Write all of them (OSError)."""
    if as_json:
        _write(stream, _json(findings, trace_id))
    elif stream.isatty():
        _print_rich(findings, stream)
    else:
        _write(stream, "".join(f"{_plain(one)}\n" for one in findings) + _summary(findings) + "\n")


def _json(findings: Sequence[Finding], trace_id: str | None) -> str:
    checks = [{**asdict(one), "status": one.status.value} for one in findings]
    document = {
        "result": worst(list(findings)).value,
        "version": __version__,
        "trace_id": trace_id,
        "checks": [{name: one[name] for name in ("check", "status", "message", "remedy")} for one in checks],
    }
    return json.dumps(document, indent=2) + "\n"


def _plain(finding: Finding) -> str:
    """One line: status, check, what was found, what to do."""
    remedy = f". To do: {finding.remedy}." if finding.remedy else ""
    return f"{finding.status.value:<7} {finding.check}: {finding.message.rstrip('.')}{remedy}"


def _summary(findings: Sequence[Finding]) -> str:
    errors, warnings = (sum(one.status is status for one in findings) for status in (Status.ERROR, Status.WARNING))
    words = [
        f"{count} {name}{'s' if count != 1 else ''}"
        for count, name in ((errors, "error"), (warnings, "warning"))
        if count
    ]
    return f"tracebaton doctor: {', '.join(words) or 'all is well'}"


def _write(stream: TextIO, text: str) -> None:
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()


def _print_rich(findings: Sequence[Finding], stream: TextIO) -> None:
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
            rows.add_row(
                Text(finding.status.value if ascii_only else mark, style),
                text(finding.message, "" if finding.status is Status.OK else style),
            )
            if finding.remedy:
                rows.add_row("", text(("-> " if ascii_only else "→ ") + finding.remedy, "cyan"))
        console.print(Text(f"\n{check}", "bold"))
        console.print(Padding(rows, (0, 0, 0, 2)))
    console.print(Text(f"\n{_summary(findings)}", _MARKS[worst(list(findings))][1]))
