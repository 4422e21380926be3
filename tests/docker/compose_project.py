"""The compose file at the top, started as a project of its own name, on ports that the engine chooses."""

from __future__ import annotations

import os
import subprocess
import uuid
from typing import TYPE_CHECKING, Any

import httpx
from collector_log import read_spans
from docker_engine import ROOT
from processes import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from typing_extensions import Self

    from tracebaton.view.spans import Span

CHAIN = ("agent-a", "backend", "agent-b")
COLLECTOR = "otel-collector"
_PORTS = ("AGENT_A", "AGENT_B", "BACKEND", "OTLP_GRPC", "OTLP_HTTP", "COLLECTOR_HEALTH", "UI")
# All that is asked for is recorded; the health checks are left out.
_SETTINGS = {"OTEL_TRACES_SAMPLER_ARG": "GET /health=0, *=1"}


class Project:
    """Everything that it starts, containers of `run` included, is gone when the `with` block ends."""

    def __init__(self, client: Any, compose: Sequence[str], demo_image: str) -> None:
        self.name = f"tracebaton-test-{uuid.uuid4().hex[:8]}"
        self.image = demo_image
        self.client = client
        self._compose = list(compose)
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "COMPOSE_"))}
        self._environ = {**environ, **{f"{port}_PORT": "" for port in _PORTS}, "DEMO_IMAGE": demo_image, **_SETTINGS}
        self.started: list[Any] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for container in list(self.started):
            self.remove(container)
        self.compose("down", "--volumes", "--remove-orphans", "--timeout", "0")

    def compose(self, *arguments: str, **environ: str) -> str:
        """Run docker-compose on this project; returns what it printed."""
        command = [*self._compose, "--project-name", self.name, *arguments]
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={**self._environ, **environ},
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
        return done.stdout

    def up(self, *services: str, **environ: str) -> None:
        """Start services, or put them into the state that the variables ask for; returns once all answer."""
        self.compose("up", "-d", "--no-build", *services, **environ)
        for service in services or CHAIN:
            self.wait_until_it_answers(self.url(service))

    def wait_until_it_answers(self, url: str) -> None:
        def answers() -> bool:
            try:
                return httpx.get(f"{url}/health", trust_env=False, timeout=2).status_code == 200
            except httpx.HTTPError:
                return False

        assert wait_for(answers, 30, 0.1), f"{url} does not answer"

    def container(self, service: str) -> Any:
        """The service's container, which may be stopped; of several the first."""
        labels = [f"com.docker.compose.project={self.name}", f"com.docker.compose.service={service}"]
        (found,) = self.client.containers.list(all=True, filters={"label": labels})
        return found

    def run(self, name: str, command: Sequence[str] | None = None, *, image: str | None = None, **more: Any) -> Any:
        """One more container in the project's network, hardened as its agents are; `more` is the Docker SDK's."""
        environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{COLLECTOR}:4317",
            "OTEL_SERVICE_NAME": name,
            "AGENT_NAME": name,
            "REDIS_URL": "redis://redis:6379/0",
            **_SETTINGS,
            **more.pop("environment", {}),
        }
        options = {
            "name": f"{self.name}-{name}",
            "network": self.network.name,
            "environment": environment,
            "ports": {"8000/tcp": ("127.0.0.1", None)},
            "user": "1000",
            "read_only": True,
            "tmpfs": {"/tmp": "noexec"},  # noqa: S108 - a mount
            "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges:true"],
            **more,
        }
        container = self.client.containers.create(image or self.image, list(command) if command else None, **options)
        self.started.append(container)
        container.start()
        return container

    def remove(self, container: Any) -> None:
        """End a container of `run`."""
        self.started.remove(container)
        container.remove(force=True, v=True)

    @property
    def collector_image(self) -> str:
        return str(self.container(COLLECTOR).attrs["Config"]["Image"])

    @property
    def network(self) -> Any:
        (found,) = self.client.networks.list(filters={"label": f"com.docker.compose.project={self.name}"})
        return found

    def url(self, service: str) -> str:
        return url_of(self.container(service))

    def spans(self) -> list[Span]:
        """All that the Collector has written so far."""
        return read_spans(self.container(COLLECTOR).logs(stdout=True, stderr=False).decode())

    def wait_for_spans(self, enough: Callable[[list[Span]], object], seconds: float = 20) -> list[Span]:
        """The spans once there are `enough`; those there are after `seconds`, for the assertion to show."""
        wait_for(lambda: enough(self.spans()), seconds, 0.3)
        return self.spans()


def url_of(container: Any) -> str:
    """Where the published port 8000 of a running container is to be had."""
    container.reload()
    (binding,) = container.ports["8000/tcp"]
    return f"http://127.0.0.1:{binding['HostPort']}"


def chat(url: str, text: str = "hello") -> httpx.Response:
    return httpx.post(f"{url}/agents/agent-b/chat", json={"text": text}, trust_env=False, timeout=20)
