"""The results as Markdown: CPU and instructions per request, start-up and memory, and the targets beside them."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from contenders import BARE, BARE_SNIFFIO
from latency import RATE
from memory import FEW, MANY
from scenarios import SCENARIOS
from startup import WORKERS
from targets import verdicts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from results import Results

NONE = "-"
CALLS_HTTPX = {scenario.name for scenario in SCENARIOS if scenario.calls_httpx}
TITLES = {scenario.name: scenario.title for scenario in SCENARIOS}


def markdown(results: Results) -> str:
    """The whole document; a part of which nothing was measured is left out."""
    parts = [
        heading(results),
        section("CPU per request, as a ratio to the bare server", cpu(results), _cpu_notes(results)),
        section(
            "Instructions per request, as a ratio to the bare server", instructions(results), _count_notes(results)
        ),
        section("Start-up and memory", start_and_memory(results), [_START_NOTE]),
        section(f"Start-up of {WORKERS} workers", worker_starts(results), [_WORKERS_NOTE]),
        section(f"Memory after {MANY:,} requests, `GET /hello`", memory(results), [_MEMORY_NOTE]),
        section(f"Latency at {RATE} requests a second, `GET /hello`", latencies(results), [_LATENCY_NOTE]),
        section("Targets", targets(results), [_TARGET_NOTE]),
    ]
    return "\n".join(part for part in parts if part)


def heading(results: Results) -> str:
    """One line on the machine, one on the libraries that are the same for all, one on those that are measured."""
    common = results.versions.get(BARE, {})
    own = {name: {k: v for k, v in found.items() if k not in common} for name, found in results.versions.items()}
    measured = [f"{name}: {_listed(found)}" for name, found in own.items() if found]
    different = [
        f"{name} has {key} {found[key]}"
        for name, found in results.versions.items()
        for key in common
        if key in found and found[key] != common[key]
    ]
    machine = ", ".join(results.machine.values())
    lines = [f"{machine}; {_listed(common)}", *measured, *different, ", ".join(map(str, results.settings.values()))]
    return "\n".join(f"{line}.  " for line in lines if line) + "\n"


def section(title: str, table: str, notes: Sequence[str]) -> str:
    return f"### {title}\n\n{table}\n" + "".join(f"\n{note}\n" for note in notes) if table else ""


def grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; all but the first column to the right. Empty where there are no rows."""
    if not rows:
        return ""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cpu(results: Results) -> str:
    scenarios = results.scenarios
    rows = []
    for name in results.names:
        cells = [_cpu_cell(results, name, scenario) for scenario in scenarios]
        first = results.reading(name, scenarios[0])
        delivered = first.delivered if first else None
        rows.append([name, *cells, NONE if delivered is None else f"{delivered:.0%}"])
    return grid(["", *[TITLES.get(name, name) for name in scenarios], "spans delivered"], rows)


def _cpu_cell(results: Results, contender: str, scenario: str) -> str:
    reading = results.reading(contender, scenario)
    if reading is None:
        return NONE
    if reading.error:
        return "failed"
    ratio = results.ratio(contender, scenario)
    return f"{reading.cpu:.0f} µs" if contender == BARE or ratio is None else f"{ratio:.2f}"


_CPU_NOTE = """\
CPU is utime + stime of the server's processes, without that of wrk, Redis, the next agent and the receiver.
`spans delivered`: how many of the requests that should have been recorded in the first column's scenario have arrived
at an OTLP receiver (ddtrace: at a stand-in for its agent) as a SERVER span. The rate of 10 % is met by chance, and at
full load a batch processor's queue may overflow."""


def _cpu_notes(results: Results) -> list[str]:
    failed = [f"Failed: {each.contender}, {each.scenario}: {each.error}." for each in results.readings if each.error]
    return [_CPU_NOTE, *failed]


def instructions(results: Results) -> str:
    scenarios = list(dict.fromkeys(each.scenario for each in results.counts))
    rows = [
        [name, *[_count_cell(results, name, scenario) for scenario in scenarios]]
        for name in dict.fromkeys(each.contender for each in results.counts)
    ]
    return grid(["", *[TITLES.get(name, name) for name in scenarios]], rows)


def _count_cell(results: Results, contender: str, scenario: str) -> str:
    count, ratio = results.count(contender, scenario), results.instruction_ratio(contender, scenario)
    if count is None or ratio is None:
        return NONE
    if contender == BARE:
        return f"{count.instructions:,.0f}"
    beside = results.instruction_ratio(contender, scenario, BARE_SNIFFIO) if scenario in CALLS_HTTPX else None
    return f"{ratio:.3f}" if beside is None else f"{ratio:.3f} ({beside:.3f})"


_COUNT_NOTE = """\
Counted by valgrind's callgrind on one connection after a warm-up, without the export, which happens in batches in a
thread of its own. In parentheses: to the bare server with sniffio, which httpcore looks for at every request.
10 % is nine parts of a request that is not recorded and one part of one that is.
Medians of {times} countings in a row; without the lowest and the highest they were {spread:.2%} apart at most
({contender}, {scenario})."""


def _count_notes(results: Results) -> list[str]:
    if not results.counts:
        return []
    worst = max(results.counts, key=lambda each: each.spread)
    note = _COUNT_NOTE.format(
        times=len(worst.counted), spread=worst.spread, contender=worst.contender, scenario=worst.scenario
    )
    return [note]


_START_NOTE = """\
Start-up is CPU until 0.3 s after the first answer, and memory then; `first span`: until the first span has arrived,
with the requests that takes. `after load` is memory when all rounds of the scenario are over. All lines but the first
are over the bare server's."""


def start_and_memory(results: Results) -> str:
    rows = [
        [name, *start_cells(results, name), *[_memory_cell(results, name, each) for each in results.scenarios]]
        for name in dict.fromkeys([*results.names, *[each.contender for each in results.starts]])
    ]
    after = [f"after load: {TITLES.get(name, name)}" for name in results.scenarios]
    started = ["start-up CPU", "memory", "first span: CPU", "memory"] if results.starts else []
    return grid(["", *started, *after], rows)


def start_cells(results: Results, contender: str) -> list[str]:
    start, bare = results.start(contender), results.start(BARE)
    if bare is None:
        return []
    if start is None:
        return [NONE] * 4
    if contender == BARE:
        return [f"{median(start.cpu):.2f} s", f"{median(start.rss):.0f} MiB", NONE, NONE]
    return [
        cell
        for span in (False, True)
        for cell in (_over(start.cpu_over(bare, span=span), 2, "s"), _over(start.rss_over(bare, span=span), 0, "MiB"))
    ]


def _memory_cell(results: Results, contender: str, scenario: str) -> str:
    own, bare = results.reading(contender, scenario), results.reading(BARE, scenario)
    if own is None or bare is None:
        return NONE
    return f"{own.end_rss:.0f} MiB" if contender == BARE else _over(own.end_rss - bare.end_rss, 0, "MiB")


def _over(value: float | None, digits: int, unit: str) -> str:
    return NONE if value is None else f"{value:+.{digits}f} {unit}"


_WORKERS_NOTE = """\
CPU of all processes until the last worker serves, and their memory then; all lines but the first are over bare's."""


def worker_starts(results: Results) -> str:
    bare = next((each for each in results.worker_starts if each.contender == BARE), None)
    if bare is None:
        return ""
    rows = [
        [each.contender, f"{median(each.cpu):.2f} s", f"{median(each.rss):.0f} MiB"]
        if each is bare
        else [each.contender, _over(each.cpu_over(bare), 2, "s"), _over(each.rss_over(bare), 0, "MiB")]
        for each in results.worker_starts
    ]
    return grid(["", "CPU", "memory"], rows)


_MEMORY_NOTE = """\
Resident memory of one process after so many requests over 16 connections, at full load."""


def memory(results: Results) -> str:
    rows = [
        [name, f"{few:.1f} MiB", f"{many:.1f} MiB", f"{many - few:+.1f} MiB"]
        for name, (few, many) in results.memory.items()
    ]
    return grid(["", f"after {FEW:,}", f"after {MANY:,}", "growth"], rows)


_LATENCY_NOTE = """\
What a client sees that asks at a fixed rate over 16 connections; in parentheses: to the bare server. Medians of rounds
in turns, of half of the requests (p50) and of all but one in a hundred (p99)."""


def latencies(results: Results) -> str:
    rows = []
    for name in results.latencies:
        cells = []
        for which in (0, 1):
            taken, ratio = results.latency(name, which), results.latency_ratio(name, which)
            beside = "" if name == BARE or ratio is None else f" ({ratio:.2f})"
            cells.append(NONE if taken is None else f"{taken:.0f} µs{beside}")
        rows.append([name, *cells])
    return grid(["", "p50", "p99"], rows)


_TARGET_NOTE = """\
`measured` is the median, which the target is for; `cheapest` is the cheapest turn to the bare server's cheapest, which
tells the median from what else the machine was doing."""


def targets(results: Results) -> str:
    rows = [
        [
            each.what,
            each.target,
            each.measured,
            each.lowest or NONE,
            each.instructions or NONE,
            "yes" if each.met else "no",
        ]
        for each in verdicts(results)
    ]
    return grid(["", "target", "measured", "cheapest", "instructions", "met"], rows)


def _listed(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())
