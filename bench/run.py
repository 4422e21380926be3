"""What tracing costs: the same application bare and under each contender, as ratios.

python bench/run.py [--quick] [--contenders tracebaton,upstream-10] [--scenarios hello,chat] [--parts cpu,callgrind]
"""

from __future__ import annotations

import argparse
import fcntl
import os
import platform
import signal
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import callgrind
import contenders as field
import scenarios as courses
import table
import venvs
from latency import measure_latencies
from measure import MeasureError, measure
from memory import measure_memory
from results import Results
from rich.console import Console
from rich.markdown import Markdown
from startup import WORKERS, measure_starts
from system import BENCH, ChildFailedError, System

if TYPE_CHECKING:
    from collections.abc import Sequence

    from contenders import Contender
    from scenarios import Scenario

RESULTS = BENCH / "results"
PARTS = ("cpu", "startup", "workers", "memory", "latency", "callgrind")
# Who is looked at more closely, and with other scenarios than the first.
CLOSELY = ("tracebaton-disabled", "tracebaton-10", "tracebaton-100", "upstream-10", "upstream-100")
console = Console(stderr=True)
_held: list[TextIO] = []


def main(arguments: Sequence[str]) -> int:
    options = parse(arguments)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs start with it ignored
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        if options.python:
            venvs.use(options.python)
        everybody = field.contenders(rules=options.sampler == "tracebaton")
        contenders = field.select(everybody, options.contenders, quick=options.quick)
        scenarios = courses.select(options.scenarios, quick=options.quick)
    except ValueError as error:
        console.print(f"[red]{error}")
        return 2
    try:
        with console.status("") as status:

            def say(text: str) -> None:
                status.update(text)
                if not console.is_terminal:
                    print(text, file=sys.stderr)

            _wait_for_others(say)
            venvs.prepare([each.venv for each in contenders], say)
            results = Results(machine(), settings(options), {each.venv: {} for each in contenders})
            results.versions = {venv: venvs.versions(venv) for venv in results.versions}
            _measure(results, options, contenders, scenarios, say)
    except (ChildFailedError, MeasureError, RuntimeError) as error:
        console.print(str(error), style="red", markup=False)
        return 1
    except KeyboardInterrupt:
        console.print("interrupted; everything is stopped")
        return 130
    out = Path(options.out)
    if options.add and out.with_suffix(".json").exists():
        before = Results.read(out.with_suffix(".json"))
        before.add(results)
        results = before
    write(results, out)
    return 1 if any(each.error for each in results.readings) else 0


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measures what tracing costs the application that is traced.")
    parser.add_argument(
        "--quick", action="store_true", help="the main scenarios and contenders, in under three minutes"
    )
    parser.add_argument("--contenders", type=_list, help="e.g. tracebaton,upstream-10 (bare is always there)")
    parser.add_argument("--scenarios", type=_list, help=", ".join(each.name for each in courses.SCENARIOS))
    parser.add_argument("--parts", type=_list, help=f"{', '.join(PARTS)} (all; a quick run: cpu,startup)")
    parser.add_argument("--callgrind", action="store_true", help="short for --parts callgrind")
    parser.add_argument(
        "--rounds", type=int, help="how often each contender has its turn (5; in scenarios without a target: 2)"
    )
    parser.add_argument("--seconds", type=int, default=1, help="how long a turn is (1)")
    parser.add_argument("--starts", type=int, help="how often each contender is started for the start-up figures (5)")
    parser.add_argument(
        "--sampler", choices=["tracebaton", "ratio"], default="tracebaton", help="which sampler tracebaton runs with"
    )
    parser.add_argument("--add", action="store_true", help="to what --out has already, in the place of the same there")
    parser.add_argument("--python", default="", help="another Python, such as 3.13 (this one)")
    parser.add_argument("--out", default=str(RESULTS / "latest"), help="where to write, without .md, .json, .svg")
    options = parser.parse_args(arguments)
    if options.parts is None:
        options.parts = ["callgrind"] if options.callgrind else ["cpu", "startup"] if options.quick else list(PARTS)
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    return options


def _measure(
    results: Results,
    options: argparse.Namespace,
    contenders: list[Contender],
    scenarios: list[Scenario],
    say: callgrind.Say,
) -> None:
    """Each scenario with a sink, a Redis and servers of its own, so that none is slower for what came before."""
    closely = field.select(contenders, options.contenders or list(CLOSELY))
    if "cpu" in options.parts:
        for scenario in scenarios:
            here = contenders if scenario.main or options.contenders else closely
            rounds = options.rounds or (2 if options.quick else 5 if scenario.main else 2)
            with System() as system:
                readings = measure(system, scenario, here, rounds=rounds, seconds=options.seconds, say=say)
            results.readings += readings
            for each in readings:
                ratio = results.ratio(each.contender, each.scenario)
                said = each.error or f"{each.cpu:6.0f} µs {ratio:7.3f}"
                console.print(f"{each.scenario:12} {each.contender:22} {said}", highlight=False, markup=False)
    if "startup" in options.parts:
        # At whatever rate, the start is the same.
        starting = [each for each in contenders if options.contenders or (each.everywhere and each.share < 1)]
        with System() as system:
            starts = options.starts or (2 if options.quick else 5)
            results.starts = measure_starts(system, starting, rounds=starts, say=say)
    if "workers" in options.parts:
        with System() as system:
            starting = [each for each in closely if each.share < 1]
            starts = options.starts or (2 if options.quick else 5)
            results.worker_starts = measure_starts(system, starting, rounds=starts, say=say, workers=WORKERS)
    if "memory" in options.parts:
        with System() as system:
            results.memory = measure_memory(system, courses.SCENARIOS[0], closely, say=say)
    if "latency" in options.parts:
        with System() as system:
            rounds = options.rounds or (3 if options.quick else 12)
            results.latencies = measure_latencies(
                system, courses.SCENARIOS[0], closely, rounds=rounds, seconds=2 * options.seconds, say=say
            )
    if "callgrind" in options.parts:
        counted = {
            scenario: [e for e in contenders if options.contenders or field.is_counted(e, scenario.routes)]
            for scenario in scenarios
            if options.scenarios or courses.counted_by_default(scenario)
        }
        with System() as system:
            results.counts = callgrind.count(system, counted, say)


def _wait_for_others(say: callgrind.Say) -> None:
    """Two runs at once would measure each other, and change each other's environments: one waits for the other."""
    venvs.FOLDER.mkdir(exist_ok=True)
    lock = (venvs.FOLDER / "lock").open("w")  # held until this process ends
    _held.append(lock)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say("waiting for another run to end")
        fcntl.flock(lock, fcntl.LOCK_EX)


def machine() -> dict[str, str]:
    """The line above the table."""
    model = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.machine(),
    )
    return {
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
        "cores": f"{os.cpu_count()} cores ({model})",
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": f"Python {venvs.python_version()}",
    }


def settings(options: argparse.Namespace) -> dict[str, str]:
    rounds = options.rounds or (2 if options.quick else "5 (scenarios without a target: 2)")
    return {
        "server": "uvicorn with uvloop and httptools, one process, access log off unless said",
        "load": f"wrk with 16 connections (chat: 4), rounds of {options.seconds} s each, {rounds} of them, medians",
        "sampler": "tracebaton with its own sampler"
        if options.sampler == "tracebaton"
        else "tracebaton with parentbased_traceidratio",
    }


def write(results: Results, out: Path) -> None:
    """Write the table, the figures and the plot; show the table."""
    out.parent.mkdir(parents=True, exist_ok=True)
    results.write(out.with_suffix(".json"))
    text = table.markdown(results)
    out.with_suffix(".md").write_text(text)
    if results.readings:
        plot = [venvs.program("tools", "python"), str(BENCH / "plot.py"), str(out)]
        drawn = subprocess.run(plot, capture_output=True, text=True, check=False)
        if drawn.returncode:
            console.print(f"no plot: {drawn.stderr}", style="red", markup=False)
    Console(width=200 if not sys.stdout.isatty() else None).print(Markdown(text))


def _list(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
