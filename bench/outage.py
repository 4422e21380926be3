"""Whether a service notices that its Collector is away: latency and throughput, beside one whose Collector is up.

    .venv/bin/python bench/outage.py [--rounds N] [--seconds N]

Five servers of the same application under `tracebaton run` deliver to one sink, each through a door of its own: one
that is open, one more that is open (which tells what two equal servers differ by), one that refuses, one that accepts
and never answers, and one that opens and closes every second. wrk loads one after the other with all it can; the
server with the open door comes before and after each of the others, and every ratio is to the mean of these two
neighbours. Memory is read after the first and after the last round.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

from contenders import contenders
from procfs import rss
from scenarios import SCENARIOS
from system import HOST, OTHER_CORE, System, pinned
from venvs import ROOT, prepare

sys.path.insert(0, str(ROOT / "tests" / "faults"))
from fault_front import Front
from fault_kinds import Hanging, Healthy, Refused

if TYPE_CHECKING:
    from processes import Child

TARGET = 0.05
UP = "up"
STATES = (UP, "up, again", "refused", "hanging", "flapping every second")
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}
HELLO = SCENARIOS[0]


@dataclass
class Server:
    """One of the five, and what wrk measured: requests a second, and the 99th percentile in seconds."""

    state: str
    child: Child
    port: int
    rates: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seconds", type=int, default=4, help="of load for each turn; memory is flat only after some")
    parser.add_argument("--contender", default="tracebaton 100 %")
    given = parser.parse_args()
    (contender,) = [each for each in contenders() if each.name == given.contender]
    over = threading.Event()
    prepare(["bare", contender.venv], lambda text: print(text, file=sys.stderr))
    with System() as system:
        fronts = {state: Front(system.otlp_port) for state in STATES}
        fronts["refused"].become(Refused())
        fronts["hanging"].become(Hanging())
        flapping = threading.Thread(target=flap, args=(fronts["flapping every second"], over), daemon=True)
        flapping.start()
        try:
            servers = {}
            for state, front in fronts.items():
                endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{HOST}:{front.port}"}
                child, port = system.start_server(contender, HELLO, slug(state), env=endpoint)
                servers[state] = Server(state, child, port)
                load(servers[state], given.seconds)
            for server in servers.values():  # that was to warm up
                server.rates.clear()
                server.latencies.clear()
                server.memory.clear()
            for number in range(given.rounds):
                for state in STATES[1:]:
                    load(servers[UP], given.seconds)
                    load(servers[state], given.seconds)
                print(f"round {number + 1} of {given.rounds}", file=sys.stderr)
            load(servers[UP], given.seconds)
            arrived = system.settled_counts()
        finally:
            over.set()
            flapping.join()
            for front in fronts.values():
                front.close()
    show(servers, arrived, given.contender)


def flap(front: Front, over: threading.Event) -> None:
    while not over.wait(1.0):
        front.become(Refused())
        if over.wait(1.0):
            return
        front.become(Healthy())


def load(server: Server, seconds: int) -> None:
    """Full load for so many seconds."""
    command = HELLO.wrk(server.port, seconds)
    command = [*pinned(OTHER_CORE), command[0], "--latency", *command[1:]]
    output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 30).stdout
    rate = re.search(r"Requests/sec:\s+([\d.]+)", output)
    latency = re.search(r"99%\s+([\d.]+)(us|ms|s)", output)
    if not rate or not latency or "Non-2xx" in output or "Socket errors" in output:
        raise SystemExit(f"{server.state}: requests failed\n{output}\n{server.child.output_end()}")
    server.rates.append(float(rate[1]))
    server.latencies.append(float(latency[1]) * _UNITS[latency[2]])
    server.memory.append(rss(server.child.pid))


def ratios(state: str, servers: dict[str, Server], what: str) -> list[float]:
    """Each turn's figure to the mean of the two turns of the server that is up around it."""
    up: list[float] = getattr(servers[UP], what)
    first = STATES.index(state) - 1
    own: list[float] = getattr(servers[state], what)
    step = len(STATES) - 1
    return [value / ((up[first + step * at] + up[first + step * at + 1]) / 2) for at, value in enumerate(own)]


def show(servers: dict[str, Server], arrived: dict[str, dict[str, int]], contender: str) -> None:
    up = servers[UP]
    p99 = median(up.latencies) * 1e3
    print(f"{contender}, GET /hello, Collector up: {median(up.rates):.0f} requests/s, p99 {p99:.2f} ms")
    print(f"within {TARGET:.0%} is the aim; medians of {len(servers[STATES[1]].rates)} turns\n")
    print("| Collector | throughput | p99 | memory, first and last turn | spans delivered |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for state, server in servers.items():
        figures = (
            ["1", "1"] if state == UP else [f"{median(ratios(state, servers, w)):.3f}" for w in ("rates", "latencies")]
        )
        memory = f"{server.memory[0]:.1f} MiB, {server.memory[-1]:.1f} MiB"
        print(f"| {state} | {' | '.join(figures)} | {memory} | {arrived.get(slug(state), {}).get('spans', 0)} |")


def slug(state: str) -> str:
    return "outage-" + re.sub(r"\W+", "-", state)


if __name__ == "__main__":
    main()
