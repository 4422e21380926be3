"""Instructions per request under valgrind's callgrind: a number that repeats whatever else the machine does.

Counted is the server process alone, on one keep-alive connection, after a warm-up. The exporters' batches are larger
than what is sent here, so no export happens while it counts: that is in the CPU figures only.
"""

from __future__ import annotations

import http.client
import re
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from results import Count
from system import HOST

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from contenders import Contender
    from scenarios import Scenario
    from system import System

COUNTINGS = 5
AT_ONCE = 2  # servers under valgrind; they do not disturb each other's counts
ENVIRON = {
    "BENCH_SEED": "1",
    # Longer than it runs and larger than what it records, see above.
    "OTEL_BSP_SCHEDULE_DELAY": "3600000",
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "65536",
    "OTEL_BSP_MAX_QUEUE_SIZE": "65536",
    "DD_TRACE_WRITER_INTERVAL_SECONDS": "3600",
}
_CHAT = b'{"text": "hello"}'

Say = Callable[[str], None]
Counts = dict[str, list[float]]  # instructions a request, by scenario; one value a counting


@dataclass(frozen=True)
class Job:
    """One server under valgrind, which is asked for all scenarios that need the same application."""

    contender: Contender
    extra: Mapping[str, str]
    scenarios: tuple[Scenario, ...]


def count(system: System, wanted: Mapping[Scenario, Sequence[Contender]], say: Say) -> list[Count]:
    """Count what each contender does for one request of each scenario."""
    jobs: dict[str, Job] = {}
    for scenario, contenders in wanted.items():
        for contender in contenders:
            for _, extra in parts(contender):
                key = _key(contender, extra, scenario)
                before = jobs[key].scenarios if key in jobs else ()
                jobs[key] = Job(contender, extra, tuple(dict.fromkeys((*before, scenario))))
    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        futures = {
            key: pool.submit(_count_one, system, job, f"callgrind-{number}", say)
            for number, (key, job) in enumerate(jobs.items(), 1)
        }
        counted = {key: future.result() for key, future in futures.items()}
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    results = []
    for scenario, contenders in wanted.items():
        for contender in filter(parts, contenders):
            weighted = [
                (weight, counted[_key(contender, extra, scenario)][scenario.name]) for weight, extra in parts(contender)
            ]
            countings = [sum(weight * counts[number] for weight, counts in weighted) for number in range(COUNTINGS)]
            results.append(Count(contender.name, scenario.name, countings))
    return results


def parts(contender: Contender) -> list[tuple[float, Mapping[str, str]]]:
    """What is counted for a contender, and with which weight.

    One that records a share of the requests is counted recording none and recording all; one that cannot be told to do
    so, because it counts requests a second, is not counted.
    """
    if contender.never:
        return [(1 - contender.share, contender.never), (contender.share, contender.always)]
    return [(1.0, {})] if contender.share in {0.0, 1.0} else []


def _key(contender: Contender, extra: Mapping[str, str], scenario: Scenario) -> str:
    """The same for two that need the same process, such as a contender at 100 % and the `always` of one at 10 %."""
    env = sorted({**contender.env, **extra}.items())
    return repr((contender.venv, contender.prefix, contender.then, env, scenario.routes, scenario.access_log))


def _count_one(system: System, job: Job, name: str, say: Say) -> Counts:
    rate = next((f" ({value})" for key, value in job.extra.items() if key.endswith(("_ARG", "_RULES"))), "")
    scenarios = ", ".join(each.name for each in job.scenarios)
    say(f"callgrind: {job.contender.name}{rate}: {scenarios}")
    out = system.directory / f"{name}.callgrind"
    valgrind = ["valgrind", "--quiet", "--tool=callgrind", "--trace-children=yes", "--instr-atstart=no"]
    child, port = system.start_server(
        job.contender,
        job.scenarios[0],
        name,
        wrapper=[*valgrind, f"--callgrind-out-file={out}"],
        env={**ENVIRON, **job.extra},
        core=None,
    )
    dumps = 0

    def dumped() -> float:
        """The instructions since the last time."""
        nonlocal dumps
        dumps += 1
        _vgdb(child.pid, "dump")
        return total(out.with_name(f"{out.name}.{dumps}"))

    try:
        connection = http.client.HTTPConnection(HOST, port, timeout=120)
        for scenario in job.scenarios:
            _ask(connection, scenario, scenario.counted)
        _vgdb(child.pid, "instrumentation on")
        counts: Counts = {}
        for scenario in job.scenarios:
            _ask(connection, scenario, scenario.counted // 2)  # with the counting on, which has effects of its own
            dumped()
            counts[scenario.name] = []
            for _ in range(COUNTINGS):
                _ask(connection, scenario, scenario.counted)
                counts[scenario.name].append(dumped() / scenario.counted)
        connection.close()
    finally:
        system.kill(child)
    return counts


def _ask(connection: http.client.HTTPConnection, scenario: Scenario, times: int) -> None:
    headers = {f"X-Bench-Header-{number}": f"value-{number}" for number in range(scenario.headers - 1)}
    for _ in range(times):
        if scenario.script:
            connection.request("POST", scenario.path, _CHAT, {**headers, "Content-Type": "application/json"})
        else:
            connection.request("GET", scenario.path, headers=headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise RuntimeError(f"callgrind: {scenario.path} answered {answer.status}")


def _vgdb(pid: int, command: str) -> None:
    """Tell a running valgrind something, as `callgrind_control` does; it has done so when this returns."""
    subprocess.run(["vgdb", f"--pid={pid}", command], check=True, capture_output=True, timeout=120)


def total(dump: Path) -> int:
    """The instructions of one dump, which is everything since the one before."""
    found = re.search(r"^totals: (\d+)", dump.read_text(), re.MULTILINE)
    if found is None:
        raise RuntimeError(f"callgrind: {dump.name} has no totals")
    return int(found[1])
