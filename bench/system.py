"""The processes of one measurement: Redis, the next agent, the sink, and one server for each contender."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contenders import slug
from venvs import ROOT, program

sys.path.insert(0, str(ROOT / "docker" / "demo"))
from processes import HOST, Child, ChildFailedError, Port, stop, wait_for

__all__ = ["HOST", "ChildFailedError", "System", "wait_for"]

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from contenders import Contender
    from scenarios import Scenario
    from typing_extensions import Self

BENCH = Path(__file__).resolve().parent
# What a user's shell may have set, and what would change the measurement.
NOT_INHERITED = (
    "OTEL_",
    "DD_",
    "ELASTIC_",
    "DASH0_",
    "LOGFIRE_",
    "UVICORN_",
    "WEB_CONCURRENCY",
    "PYTHON",
    "BENCH_",
    "VIRTUAL_ENV",
)
START_WITHIN = 60.0
# One core for the server that is measured, another for everybody else.
SERVER_CORE, OTHER_CORE = 0, 1


class System:
    """Starts processes and, when the `with` block ends in whatever way, stops all of them."""

    def __init__(self) -> None:
        self._cleanup = ExitStack()
        self._children: list[Child] = []
        self._ports: list[Port] = []
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def __enter__(self) -> Self:
        self.directory = Path(self._cleanup.enter_context(tempfile.TemporaryDirectory(prefix="tracebaton-bench-")))
        try:
            self._start_neighbours()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._cleanup:
            stop(self._children, seconds=3)
            for port in self._ports:
                port.release()

    def _start_neighbours(self) -> None:
        redis, echo, self.otlp_port, self.sink_port = (self.free_port() for _ in range(4))
        mute = ["--no-access-log", "--log-level", "warning"]
        quiet = ["--save", "", "--appendonly", "no", "--dir", str(self.directory)]
        started = [
            self.start("redis", ["redis-server", "--bind", HOST, "--port", str(redis), *quiet]),
            self._sink("sink", self.otlp_port, self.sink_port),
            self.start(
                "echo",
                [
                    program("bare", "uvicorn"),
                    "echo:app",
                    "--host",
                    HOST,
                    "--port",
                    str(echo),
                    "--lifespan",
                    "off",
                    *mute,
                ],
            ),
        ]
        for child, port in zip(started, (redis, self.sink_port, echo), strict=True):
            child.wait_for_ports(port, seconds=START_WITHIN)
        self._application = {
            "BENCH_REDIS_URL": f"redis://{HOST}:{redis}/0",
            "BENCH_NEXT_URL": f"http://{HOST}:{echo}",
        }

    def _sink(self, name: str, otlp_port: int, http_port: int) -> Child:
        return self.start(name, [sys.executable, str(BENCH / "sink.py"), str(otlp_port), str(http_port)])

    def start_sink(self, name: str, otlp_port: int, http_port: int) -> int:
        """Start another receiver; its HTTP port, for `counts`, once it listens."""
        self._sink(name, otlp_port, http_port).wait_for_ports(http_port, seconds=START_WITHIN)
        return http_port

    def start_server(
        self,
        contender: Contender,
        scenario: Scenario,
        service: str,
        *,
        wrapper: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        core: int | None = SERVER_CORE,
        more: Sequence[str] = (),
    ) -> tuple[Child, int]:
        """Start the application as this contender does, with `more` arguments for uvicorn.

        Return it and its port once it listens.
        """
        port = self.free_port()
        command = [program(contender.venv, name) for name in (*contender.prefix[:1], "uvicorn")]
        prefix = [*command[:-1], *contender.prefix[1:]]
        variables = {
            **self._application,
            "BENCH_ROUTES": str(scenario.routes),
            "OTEL_SERVICE_NAME": service,
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{HOST}:{self.sink_port if contender.http else self.otlp_port}",
            "DASH0_OTEL_COLLECTOR_BASE_URL": f"http://{HOST}:{self.sink_port}",
            "LOGFIRE_SERVICE_NAME": service,
            "DD_SERVICE": service,
            "DD_TRACE_AGENT_URL": f"http://{HOST}:{self.sink_port}",
            **contender.env,
            **(env or {}),
        }
        whole = [*wrapper, *prefix, command[-1], *scenario.uvicorn(), "--port", str(port), *more]
        child = self.start(service, whole, env=variables, venv=contender.venv, core=core)
        child.wait_for_ports(port, seconds=START_WITHIN * (10 if wrapper else 1))
        if contender.then:
            first, *others = contender.then
            self._run_once([program(contender.venv, first), *others, "--service", service])
        return child, port

    def _run_once(self, command: Sequence[str]) -> None:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=START_WITHIN)
        if done.returncode:
            raise ChildFailedError(f"{' '.join(command)} ended with status {done.returncode}:\n{done.stderr}")

    def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        venv: str = "bare",
        core: int | None = OTHER_CORE,
    ) -> Child:
        environ = {key: value for key, value in os.environ.items() if not key.startswith(NOT_INHERITED)}
        # The launchers look up `uvicorn` on PATH; one order of hashing for all, so that dictionaries do not differ.
        environ["PATH"] = os.pathsep.join([str(Path(program(venv, "x")).parent), environ.get("PATH", os.defpath)])
        environ["PYTHONHASHSEED"] = "0"
        for key in ("no_proxy", "NO_PROXY"):  # a proxy for the package index must not get to see 127.0.0.1
            environ[key] = f"{HOST},localhost"
        whole = [*pinned(core), *command]
        child = Child(name, whole, environ={**environ, **(env or {})}, cwd=BENCH, directory=self.directory)
        self._children.append(child)
        return child

    def stop(self, children: Sequence[Child]) -> None:
        """Stop these and forget them; safe from several threads."""
        stop(children, seconds=3)
        for child in children:
            self._children.remove(child)

    def kill(self, child: Child) -> None:
        """End one at once, where nothing is to be had from its last words."""
        child.kill()
        self._children.remove(child)

    def free_port(self) -> int:
        port = Port()
        self._ports.append(port)
        return port.number

    def counts(self, port: int | None = None) -> dict[str, dict[str, int]]:
        """What has arrived at the sink, or at another one with this HTTP port, by service."""
        with self._opener.open(f"http://{HOST}:{port or self.sink_port}/counts", timeout=5) as answer:
            counts: dict[str, Any] = json.load(answer)
        return counts

    def settled_counts(self, seconds: float = 6.0, pause: float = 1.5) -> dict[str, dict[str, int]]:
        """The same, once nothing more has come in for longer than the exporters wait between two batches."""
        seen, since = self.counts(), time.monotonic()

        def quiet() -> bool:
            nonlocal seen, since
            if (now := self.counts()) != seen:
                seen, since = now, time.monotonic()
            return time.monotonic() - since >= pause

        wait_for(quiet, seconds, interval=0.1)
        return seen


def service_name(contender: Contender, scenario: Scenario) -> str:
    return f"{slug(contender.name)}.{scenario.name}"


def pinned(core: int | None) -> list[str]:
    """A command's beginning that keeps it on one core, where that is wanted and possible."""
    if core is None or shutil.which("taskset") is None or (os.cpu_count() or 1) < 2:
        return []
    return ["taskset", "-c", str(core)]
