"""The programs of a test of an edge, each `tracebaton run` where its library is, and what they deliver."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from libraries import environment
from processes import HOST, is_listening, wait_for
from spans import wait_for_spans

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from harness import System
    from processes import Child

    from tracebaton.view.spans import Span

APPS = Path(__file__).parent / "apps"


class Edge:
    """Starts the programs of a test, in an environment with its library, and asks what they have delivered."""

    def __init__(self, system: System) -> None:
        self.system = system

    def start(
        self, name: str, *command: str, libraries: tuple[str, ...] = (), env: Mapping[str, str] | None = None
    ) -> Child:
        """Start `tracebaton run COMMAND` as the service `name`; its program is the environment's where it has it."""
        programs = environment(libraries)
        variables = {
            "OTEL_SERVICE_NAME": name,
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.system.grpc_endpoint,
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "PYTHONPATH": str(APPS),
            **(env or {}),
        }
        own = programs / command[0]
        words = [str(own) if own.exists() else command[0], *command[1:]]
        runner = [str(programs / "python"), "-m", "tracebaton", "run"]
        return self.system.start(name, [*runner, *words], env=variables, cwd=APPS)

    def spans(self, enough: Callable[[Sequence[Span]], bool], seconds: float = 20) -> Sequence[Span]:
        """The spans received once there are `enough`; those there are after `seconds`, for the assertion to show."""
        return wait_for_spans(self.system, enough, seconds)

    def whole(
        self, traces: Collection[str], enough: Callable[[Sequence[Span]], bool], seconds: float = 20
    ) -> Sequence[Span]:
        """The same, once none of these traces lacks a parent: each process delivers when it likes."""

        def are_whole(spans: Sequence[Span]) -> bool:
            return not orphans([span for span in spans if span.trace_id in traces])

        return self.spans(lambda spans: enough(spans) and are_whole(spans), seconds)

    def logs(self, name: str, enough: Callable[[Sequence[Any]], bool], seconds: float = 20) -> list[dict[str, Any]]:
        """The JSON lines of a program, once there are `enough`."""
        wait_for(lambda: enough(self.system.logs(name)), seconds, 0.1)
        return self.system.logs(name)


def serve(edge: Edge, name: str, app: str, libraries: tuple[str, ...] = (), **env: str) -> tuple[Child, str]:
    """The ASGI application `app` of apps/, by uvicorn under the environment's Python, and its address."""
    port = edge.system.free_port()
    child = edge.start(name, "python", "-m", "uvicorn", app, "--port", str(port), libraries=libraries, env=env)
    child.wait_until(lambda: is_listening(port), "listening", 60)
    return child, f"http://{HOST}:{port}"


def orphans(spans: Sequence[Span]) -> list[Span]:
    known = {(span.trace_id, span.span_id) for span in spans}
    return [span for span in spans if span.parent_span_id and (span.trace_id, span.parent_span_id) not in known]


def assert_whole(spans: Sequence[Span], *, roots: int = 1) -> None:
    """Every span's parent is there, and each trace has one root; there are so many traces."""
    assert orphans(spans) == []
    found = [span.trace_id for span in spans if not span.parent_span_id]
    assert len(found) == len(set(found)) == roots, [(span.service, span.name) for span in spans]


def assert_partial(spans: Sequence[Span]) -> Span:
    """All are of one trace and kept, and but for one, which is returned, every span's parent is there."""
    assert len({span.trace_id for span in spans}) == 1
    assert {span.attributes.get("tracebaton.kept") for span in spans} == {"error"}
    known = {span.span_id for span in spans}
    assert len(known) == len(spans), "a span came twice"
    (top,) = [span for span in spans if span.parent_span_id not in known]
    return top
