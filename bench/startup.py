"""What the start costs: CPU and memory of the server after its first answer, and after its first span."""

from __future__ import annotations

import time
import urllib.request
from typing import TYPE_CHECKING

from procfs import cpu_seconds, rss
from results import Start
from scenarios import SCENARIOS
from system import HOST, service_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from contenders import Contender
    from processes import Child
    from system import System

SETTLES_IN = 0.3  # seconds
WORKERS = 4
STARTS_WITHIN = 60.0
SPAN_WITHIN = 30.0  # seconds; at 10 % it takes a few requests, and then the exporter's delay


def measure_starts(
    system: System, contenders: Sequence[Contender], *, rounds: int, say: Callable[[str], None], workers: int = 1
) -> list[Start]:
    """Start and stop each contender in turns, `rounds` times; with several workers up to their first answer only."""
    more = ["--workers", str(workers), "--log-level", "info"] if workers > 1 else []
    starts = {contender.name: Start(contender.name) for contender in contenders}
    for number in range(rounds):
        for contender in contenders:
            say(f"start-up: round {number + 1}, {contender.name}")
            service = f"{service_name(contender, SCENARIOS[0])}.{number}"
            child, port = system.start_server(contender, SCENARIOS[0], service, more=more)
            start = starts[contender.name]
            _ask(port)
            if more:
                _until_all_serve(child, workers)
            time.sleep(SETTLES_IN)
            start.cpu.append(cpu_seconds(child.pid))
            start.rss.append(rss(child.pid))
            if contender.share and not more:
                _until_first_span(system, child, port, service)
                start.span_cpu.append(cpu_seconds(child.pid))
                start.span_rss.append(rss(child.pid))
            system.stop([child])
    return list(starts.values())


def _until_all_serve(child: Child, workers: int) -> None:
    """Uvicorn's parent listens before its workers have imported anything: each says so when it serves."""
    child.wait_until(
        lambda: child.output().count("Application startup complete") >= workers, "all workers serve", STARTS_WITHIN
    )


def _until_first_span(system: System, child: Child, port: int, service: str) -> None:
    def arrived() -> bool:
        _ask(port)
        return system.counts().get(service, {"server": 0})["server"] > 0

    child.wait_until(arrived, "a span arrived", SPAN_WITHIN)


def _ask(port: int) -> None:
    _opener.open(f"http://{HOST}:{port}{SCENARIOS[0].path}", timeout=10).close()


_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy for 127.0.0.1
