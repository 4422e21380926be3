"""How long a request takes at a rate that every contender keeps up with: half of them, and all but one in a hundred.

A second process asks over a number of connections, each of them when its turn has come, whether another one has been
answered or not. What is asked late because its connection was still busy waits from when it was due.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from statistics import quantiles
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from contenders import Contender
    from scenarios import Scenario
    from system import System

RATE = 800  # requests a second
CONNECTIONS = 16
WARM_UP = 1.0


def measure_latencies(
    system: System,
    scenario: Scenario,
    contenders: Sequence[Contender],
    *,
    rounds: int,
    seconds: int,
    say: Callable[[str], None],
) -> dict[str, list[tuple[float, float]]]:
    """The two in microseconds, for each contender one pair a round; they take turns."""
    from measure import MeasureError
    from system import OTHER_CORE, pinned, service_name

    ports = {}
    children = []
    try:
        for contender in contenders:
            child, ports[contender.name] = system.start_server(contender, scenario, service_name(contender, scenario))
            children.append(child)
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in ports}
        for number in range(rounds):
            # The order starts elsewhere each time, as who is asked first may have the machine in another state.
            first = number % len(ports)
            names = list(ports)
            for name in names[first:] + names[:first]:
                port = ports[name]
                say(f"latency: round {number + 1}, {name}")
                command = [*pinned(OTHER_CORE), sys.executable, __file__, str(port), scenario.path, str(seconds)]
                done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + 60)
                if done.returncode:
                    raise MeasureError(f"{name} was not asked to the end:\n{done.stderr}")
                half, most = map(float, done.stdout.split())
                found[name].append((half, most))
    finally:
        system.stop(children)
    return found


async def ask(port: int, path: str, seconds: float) -> list[float]:
    """Microseconds of each request."""
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    taken: list[float] = []
    began = time.perf_counter() + 0.1

    async def one(number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        turn = number
        was_busy = False
        while (due := began + turn / RATE) < began + WARM_UP + seconds:
            now = time.perf_counter()
            if now < due:
                was_busy = False
                await asyncio.sleep(due - now)
            started = due if was_busy else time.perf_counter()
            writer.write(request)
            await _answer(reader)
            ended = time.perf_counter()
            if due >= began + WARM_UP:
                taken.append((ended - started) * 1e6)
            was_busy = True
            turn += CONNECTIONS
        writer.close()

    await asyncio.gather(*map(one, range(CONNECTIONS)))
    return taken


async def _answer(reader: asyncio.StreamReader) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    if b" 200 " not in head.partition(b"\r\n")[0]:
        raise RuntimeError(f"not answered as it should be: {head!r}")
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    await reader.readexactly(int(length.partition(b":")[2]))


def main(port: int, path: str, seconds: float) -> None:
    hundredths = quantiles(asyncio.run(ask(port, path, seconds)), n=100)
    print(hundredths[49], hundredths[98])


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], float(sys.argv[3]))
