"""Starts an application in one of the ways there are, sends it requests, ends it, and asks what was delivered."""

from __future__ import annotations

import json
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from processes import HOST, is_listening, wait_for

if TYPE_CHECKING:
    import signal
    from collections.abc import Mapping, Sequence

    from harness import System
    from processes import Child

APPS = Path(__file__).parent / "apps"
# The queue is not sent by itself during the test: what arrives was sent at the end.
HELD = {"OTEL_BSP_SCHEDULE_DELAY": "60000", "OTEL_TRACES_SAMPLER": "parentbased_always_on"}


@dataclass
class Service:
    """A running server and what it answered.

    `served` maps each trace id to the pid that served the request; without tracing there is but one, of zeros.
    """

    child: Child
    url: str
    served: dict[str, int] = field(default_factory=dict)
    pids: set[int] = field(default_factory=set)
    lost: list[str] = field(default_factory=list)
    """What was asked for and got no answer, and why; as it may happen while a worker is replaced."""

    def send(self, count: int, path: str = "/who", threads: int = 8) -> None:
        """Send requests until so many are answered, over a few connections."""
        with httpx.Client(timeout=20, verify=False) as client, ThreadPoolExecutor(threads) as pool:
            for trace_id, pid in pool.map(lambda _: self._ask(client, path), range(count)):
                self.served[trace_id] = pid
                self.pids.add(pid)

    def settle(self) -> None:
        """Have every process that served something serve one more, which is not counted.

        An answer can be read a moment before its span has ended; it has when the event loop comes to another request.
        """
        counted, pids = dict(self.served), self.pids
        self.pids = set()
        assert wait_for(lambda: self.send(8) or self.pids >= pids, 10), (pids, self.pids)
        self.served = counted

    def begin_slow(self) -> ThreadPoolExecutor:
        """Begin two requests that take a second; wait until both are being served. `shutdown` waits for the answers."""
        pool = ThreadPoolExecutor(1)
        pool.submit(self.send, 2, "/slow", 2)
        self.child.wait_until(lambda: self.child.output().count("slow has begun") >= 2, "serving slow requests", 20)
        return pool

    def end(self, number: signal.Signals, *, group: bool, pid: int | None = None) -> None:
        if group:
            os.killpg(self.child.pid, number)
        else:
            os.kill(pid or self.child.pid, number)

    def _ask(self, client: httpx.Client, path: str) -> tuple[str, int]:
        """An answer, at the second attempt or later where a worker went away with the connection."""
        answer: list[dict[str, Any]] = []

        def answered() -> bool:
            try:
                response = client.get(self.url + path)
            except httpx.TransportError as error:
                self.lost.append(f"{path}: {error!r}")
                return False
            assert response.status_code == 200
            answer.append(response.json())
            return True

        assert wait_for(answered, 20, 0.05), self.child.output_end()
        return answer[0]["trace_id"], answer[0]["pid"]


def start(
    system: System,
    name: str,
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    directory: Path = APPS,
) -> Service:
    """Start `command`, in which {port} stands for a free port; returns at once. The service's name is `name`."""
    port = system.free_port()
    variables = {**HELD, "OTEL_SERVICE_NAME": name, "OTEL_EXPORTER_OTLP_ENDPOINT": system.grpc_endpoint, **(env or {})}
    # Programs such as hypercorn do not look for the application where they are started.
    variables["PYTHONPATH"] = str(directory)
    child = system.start(name, [part.format(port=port) for part in command], env=variables, cwd=directory)
    return Service(child, f"http://{HOST}:{port}")


def wait_until_ready(*services: Service) -> None:
    for service in services:
        port = int(service.url.rpartition(":")[2])
        service.child.wait_until(lambda port=port: is_listening(port), "listening", 30)  # type: ignore[misc]


def wait_for_workers(count: int, *services: Service) -> None:
    """Until so many processes have started `launch_app`; a worker that is still starting may not hear a signal."""
    for service in services:
        service.child.wait_until(
            lambda service=service: service.child.output().count("the application has started") >= count,  # type: ignore[misc]
            f"running {count} workers",
            30,
        )


def wait_until_gone(*services: Service, seconds: float = 20) -> None:
    """All processes of the launch, so that no flush is still under way."""
    wait_for(
        lambda: all(service.child.returncode is not None and service.child.is_gone() for service in services), seconds
    )
    for service in services:
        assert service.child.is_gone(), service.child.output_end()


def delivered(system: System, name: str, *, kind: str | None = None) -> list[dict[str, Any]]:
    """The spans of that service that the receiver has got, as records of `tracebaton view --json`."""
    mark = json.dumps(name).encode()
    lines = system.children["receiver"].stdout.read_bytes().split(b"\n")[:-1]
    records = [json.loads(line) for line in lines if mark in line]
    return [one for one in records if one["resource"]["service.name"] == name and kind in (None, one["kind"])]


def assert_all_delivered(system: System, name: str, served: Mapping[str, int]) -> None:
    """One SERVER span for every answer, each with the pid of the process that gave it, and none twice."""
    wait_for(lambda: len(delivered(system, name, kind="SERVER")) >= len(served), 5, 0.1)
    spans = delivered(system, name, kind="SERVER")
    twice = [span for span, count in Counter((one["trace_id"], one["span_id"]) for one in spans).items() if count > 1]
    assert twice == []
    pids = {one["trace_id"]: one["resource"]["process.pid"] for one in spans}
    missing = Counter(pid for trace_id, pid in served.items() if trace_id not in pids)
    assert not missing, f"of {len(served)} answers, these have no span, by pid: {dict(missing)}"
    assert {trace_id: pids[trace_id] for trace_id in served} == dict(served)


def only_child(pid: int) -> int:
    """The pid, as we see it, of the one child of a process."""
    path = Path(f"/proc/{pid}/task/{pid}/children")
    children = wait_for(lambda: path.read_text().split(), 10)
    assert len(children) == 1, children
    return int(children[0])


def in_threads(*actions: Any) -> None:
    """Run all of them at the same time; raises what the first one raised."""
    with ThreadPoolExecutor(len(actions)) as pool:
        for done in [pool.submit(action) for action in actions]:
            done.result()
