"""What a request may cost in instructions, as a ratio to the bare server of the same run: python bench/gates.py

Exit status: 0 where every ratio is within its limit, 1 where one is not. A limit is what was measured when it was
written, and two per cent: whoever makes something cheaper lowers it.
"""

from __future__ import annotations

import sys
from dataclasses import replace

import callgrind
import contenders as field
import scenarios as courses
import venvs
from contenders import BARE, BARE_SNIFFIO
from results import Results
from rich.console import Console
from rich.table import Table
from system import System

# A hop is held against the bare server with sniffio: without it, everything is cheaper than bare.
LIMITS = {
    "tracebaton disabled": {"hello": 1.02, "redis": 1.02, "hop": 1.02},
    "tracebaton unsampled": {"hello": 1.085, "redis": 1.09, "hop": 1.085},
    "tracebaton 100 %": {"hello": 1.27, "redis": 1.34, "hop": 1.18},
}


def contenders() -> list[field.Contender]:
    known = {each.name: each for each in field.contenders()}
    ten_percent = known["tracebaton 10 %"]
    unsampled = replace(
        ten_percent, name="tracebaton unsampled", env={**ten_percent.env, **ten_percent.never}, share=0.0, never={}
    )
    wanted = (known[BARE], known[BARE_SNIFFIO], known["tracebaton disabled"], unsampled, known["tracebaton 100 %"])
    return list(wanted)


def main() -> int:
    console = Console(highlight=False)
    measured = contenders()
    venvs.prepare([each.venv for each in measured], console.print)
    scenarios = courses.select(["hello", "redis", "hop"], quick=False)
    with System() as system:
        counts = callgrind.count(system, dict.fromkeys(scenarios, measured), lambda _: None)
    table = Table("", *[scenario.title for scenario in scenarios], title="instructions, to bare (limit)")
    missed = False
    for name, cells in verdicts(Results({}, {}, {}, counts=counts)).items():
        missed = missed or not all(is_within for _, is_within in cells)
        table.add_row(name, *[shown if is_within else f"[bold red]{shown} MISSED[/]" for shown, is_within in cells])
    console.print(table)
    return 1 if missed else 0


def verdicts(results: Results) -> dict[str, list[tuple[str, bool]]]:
    """For each contender and scenario the ratio with its limit, and whether it was counted and is within."""
    found: dict[str, list[tuple[str, bool]]] = {}
    for name, limits in LIMITS.items():
        for scenario in courses.select(list(limits), quick=False):
            base = BARE_SNIFFIO if scenario.calls_httpx else BARE
            ratio, limit = results.instruction_ratio(name, scenario.name, base), limits[scenario.name]
            shown = f"{'not counted' if ratio is None else format(ratio, '.3f')} ({limit})"
            found.setdefault(name, []).append((shown, ratio is not None and ratio <= limit))
    return found


if __name__ == "__main__":
    sys.exit(main())
