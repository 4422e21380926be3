"""Live control of real servers: what off leaves, what is under way, and what workers that start later do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from harness import UNTRACED, System
from launches import TRACED
from launching import APPS, wait_until_ready
from launching import start as launch
from processes import HOST, stop, wait_for
from spans import path_of, servers, wait_for_spans
from websockets.sync.client import connect

from tracebaton.control.talk import ask_all
from tracebaton_configurator.live.address import AVAILABLE, listed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from launching import Service

    Start = Callable[..., "Live"]

pytestmark = pytest.mark.skipif(not AVAILABLE, reason="live control works on Linux only")

UVICORN = "uvicorn live_app:app --host 127.0.0.1 --port {port}"
CALLER = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "baggage": "a=b"}
QUICK = {"OTEL_BSP_SCHEDULE_DELAY": "50", "OTEL_TRACES_SAMPLER": "tracebaton", "OTEL_TRACES_SAMPLER_ARG": "1"}
NO_ID = "0" * 32
# See the Makefile.
OTHERS = Path(sys.prefix, "other-instrumentations")


def tracebaton(*words: str, status: int = 0) -> list[dict[str, Any]]:
    """Run the command; the processes that it shows."""
    command = [sys.executable, "-m", "tracebaton.cli", *words, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == status, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


class Live:
    """A service that is started and controlled under a name that nobody else has."""

    def __init__(
        self,
        system: System,
        command: str = UVICORN,
        env: dict[str, str] | None = None,
        directory: Path = APPS,
    ) -> None:
        self.system = system
        self.name = f"live-{uuid.uuid4().hex[:12]}"
        if not system.redis_url:
            system.start_redis()
            self.next = launch(system, "next", [*UNTRACED, *UVICORN.split()], env={"REDIS_URL": ""})
            wait_until_ready(self.next)
            system.children["next"].url = self.next.url  # type: ignore[attr-defined]
        environ = {**QUICK, "REDIS_URL": system.redis_url, "NEXT_URL": system.children["next"].url, **(env or {})}  # type: ignore[attr-defined]
        self.service: Service = launch(system, self.name, [*TRACED, *command.split()], env=environ, directory=directory)
        wait_until_ready(self.service)
        system.agents.append(self.name)
        self.url = self.service.url
        self._before, self._begun = 0, 0

    def begin(self) -> Live:
        """What another test has left is undone, and what it has logged and recorded is not looked at."""
        for request in ({"do": "on"}, {"do": "reset"}):
            assert ask_all(request, self.name).failures == []
        self._before, self._begun = len(self.system.logs(self.name)), time.time_ns()
        return self

    def do(self, *words: str, status: int = 0) -> list[dict[str, Any]]:
        return tracebaton(*words, "--service", self.name, status=status)

    def status(self) -> list[dict[str, Any]]:
        """As the command shows it, without a process for it: this is asked again and again."""
        return ask_all({"do": "status"}, self.name).processes

    def get(self, path: str, **headers: str) -> Any:
        return httpx.get(self.url + path, headers=headers, timeout=20).json()

    def states(self) -> dict[int, bool]:
        return {one["pid"]: one["on"] for one in self.status()}

    def workers(self) -> dict[int, bool]:
        """Those that serve: all but the first process."""
        return {pid: on for pid, on in self.states().items() if pid != self.service.child.pid}

    def lines(self, message: str) -> list[dict[str, Any]]:
        return [line for line in self.system.logs(self.name)[self._before :] if message in line["message"]]

    def marked(self) -> list[Any]:
        """All spans of this service in this test: what ended before the mark has arrived when it has."""
        trace_id = self.get("/mark")["trace_id"]
        spans = wait_for_spans(self.system, lambda spans: any(span.trace_id == trace_id for span in spans))
        assert [span for span in spans if span.trace_id == trace_id], "the mark has not arrived"
        return [span for span in spans if span.service == self.name and span.start_ns >= self._begun]


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    """One receiver, one Redis and one service behind for all of this module."""
    with System() as made:
        made.start_receiver()
        yield made
    assert made.left_behind() == []


@pytest.fixture(scope="module")
def usual(system: System) -> Live:
    return Live(system)


@pytest.fixture
def shared(usual: Live) -> Live:
    """The service of this module that runs as most do."""
    return usual.begin()


@pytest.fixture
def start(system: System) -> Iterator[Callable[..., Live]]:
    """Starts a service of the test's own."""
    started: list[Live] = []

    def start_one(*args: Any, **kwargs: Any) -> Live:
        started.append(Live(system, *args, **kwargs))
        return started[-1]

    yield start_one
    stop([live.service.child for live in started], 10)


MODES = {
    "gate": {},
    "native telemetry": {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "fastapi"},
    "no gate": {"OTEL_METRICS_EXPORTER": "otlp"},
    "always_on": {"OTEL_TRACES_SAMPLER": "always_on"},
    "other propagators": {"OTEL_PROPAGATORS": "baggage,tracecontext"},
}


@pytest.mark.parametrize("mode", MODES)
def test_off_leaves_no_span_no_id_and_no_header(request: Any, start: Start, mode: str) -> None:
    live = start(env=MODES[mode]) if MODES[mode] else request.getfixturevalue("shared")
    assert "traceparent" in live.get("/work")["sent"]
    (said,) = live.do("off")
    assert said["on"] is False
    begun = time.time_ns()
    for path in ("/work", "/sub/work"):
        seen = live.get(path, **CALLER)
        assert (seen["sent"], seen["recording"], seen["trace_id"]) == ({}, False, NO_ID), path
    assert "'sent': {}, 'recording': False" not in (streamed := httpx.get(f"{live.url}/stream", headers=CALLER).text)
    assert "'recording': False, 'sent': {}" in streamed
    with connect(f"{live.url.replace('http', 'ws')}/ws", additional_headers=CALLER) as websocket:
        websocket.send("go")
        assert json.loads(websocket.recv())["sent"] == {}
    live.get("/background", **CALLER)
    assert wait_for(lambda: live.get("/behind")["tasks"], 10)
    (task,) = live.get("/behind")["tasks"]
    assert (task["sent"], task["recording"]) == ({}, False)
    assert wait_for(lambda: live.get("/behind")["outside"]["sent"] == {}, 10)
    assert httpx.get(f"{live.url}/fail", headers=CALLER).status_code == 500
    ended = time.time_ns()
    for what in ("a request", "a mounted one", "a stream", "a WebSocket", "a background task"):
        assert "trace_id" not in live.lines(f"{what} is at work")[-1], what
    wait_for(lambda: live.lines("Exception in ASGI application"), 5)
    assert "trace_id" not in live.lines("Exception in ASGI application")[-1]
    live.do("on")
    assert "traceparent" in live.get("/work")["sent"]
    meanwhile = [span for span in live.marked() if begun <= span.start_ns < ended]
    assert meanwhile == []


STARLETTE = """
from opentelemetry import trace
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

async def mark(request):
    context = trace.get_current_span().get_span_context()
    with trace.get_tracer("live").start_as_current_span("work") as span:
        return JSONResponse({"trace_id": f"{context.trace_id:032x}", "recording": span.is_recording()})

app = Starlette(routes=[Route("/mark", mark)])
"""


@pytest.mark.skipif(
    not (OTHERS / "opentelemetry" / "instrumentation" / "starlette").is_dir(),
    reason="opentelemetry-instrumentation-starlette is not there: a Starlette application was NOT tested",
)
def test_so_does_a_starlette_application(start: Start, tmp_path: Path) -> None:
    (tmp_path / "starry.py").write_text(STARLETTE)
    for package in OTHERS.iterdir():
        (tmp_path / package.name).symlink_to(package)
    live = start(UVICORN.replace("live_app", "starry"), directory=tmp_path)
    live.do("off")
    assert live.get("/mark", **CALLER) == {"trace_id": NO_ID, "recording": False}
    live.do("on")
    assert sorted(span.name for span in live.marked()) == ["GET /mark", "work"]


def test_requests_under_way_end_as_they_began(shared: Live) -> None:
    live = shared
    with (
        ThreadPoolExecutor(2) as pool,
        connect(f"{live.url.replace('http', 'ws')}/ws", additional_headers=CALLER) as websocket,
    ):
        websocket.send("go")
        websocket.recv()
        slow = pool.submit(live.get, "/slow", **CALLER)
        live.service.child.wait_until(lambda: bool(live.lines("slow has begun")), "serving a slow request", 20)
        unsampled = pool.submit(live.get, "/slow", traceparent=CALLER["traceparent"][:-1] + "0")
        live.service.child.wait_until(lambda: len(live.lines("slow has begun")) == 2, "serving another", 20)
        live.do("off")
        websocket.send("go")
        seen = json.loads(websocket.recv())
        assert (seen["recording"], seen["sent"]["traceparent"][3:35]) == (True, CALLER["traceparent"][3:35])
        live.get("/release")
        assert slow.result()["recording"] is True
        assert slow.result()["sent"]["traceparent"][3:35] == CALLER["traceparent"][3:35]
        # It was not recorded before, and goes on to say whose trace it is.
        assert unsampled.result()["recording"] is False
        assert unsampled.result()["sent"]["traceparent"][:35] == CALLER["traceparent"][:35]
        assert int(unsampled.result()["sent"]["traceparent"][-2:], 16) & 1 == 0
    assert live.get("/work", **CALLER)["sent"] == {}
    live.do("on")
    spans = live.marked()
    (request,) = servers(spans, "/slow")
    assert [span.parent_span_id for span in spans if span.name == "work" and span.trace_id == request.trace_id].count(
        request.span_id
    ) == 1
    assert len([span for span in spans if span.name == "work" and span.trace_id == request.trace_id]) == 3


def test_requests_begun_while_off_end_untraced(shared: Live) -> None:
    live = shared
    live.do("off")
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(live.get, "/slow", **CALLER)
        live.service.child.wait_until(lambda: bool(live.lines("slow has begun")), "serving a slow request", 20)
        live.do("on")
        live.get("/release")
        assert slow.result()["sent"] == {}
    assert servers(live.marked(), "/slow") == []


@pytest.mark.parametrize(
    "sampler",
    [
        {"OTEL_TRACES_SAMPLER": "always_off"},
        {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0"},
        {"OTEL_TRACES_SAMPLER_ARG": "0", "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "fastapi"},
        {"OTEL_TRACES_SAMPLER_ARG": "0", "OTEL_METRICS_EXPORTER": "otlp"},
    ],
    ids=lambda sampler: " ".join(sampler.values()),
)
def test_rules_replace_the_sampler_for_a_while(start: Start, sampler: dict[str, str]) -> None:
    live = start(env=sampler)
    live.get("/who")
    (said,) = live.do("set", "sampling", "GET /who=1, GET /mark=1, *=0", "--for", "168h")
    assert said["sampler_set_by"] == "tracebaton set"
    live.get("/who")
    live.get("/headers")
    assert len(servers(live.marked(), "/who")) == 1
    live.do("set", "sampling", "reset")
    live.get("/who")
    live.do("set", "sampling", "GET /mark=1, *=0")
    spans = live.marked()
    assert [path_of(span) for span in servers(spans)] == ["/who", "/mark", "/mark"]
    (said,) = live.do("set", "sampling", "reset")
    assert said["sampler_set_by"] == "environment"


def test_a_time_is_over_by_itself(shared: Live) -> None:
    live = shared
    live.do("set", "sampling", "*=0", "--for", "300ms")
    live.do("off", "--for", "600ms")
    # Nothing is asked of it meanwhile.
    live.service.child.wait_until(lambda: bool(live.lines("Tracing is on again")), "on again", 5)
    assert live.lines("Sampling goes by the variables again")
    assert "traceparent" in live.get("/work")["sent"]
    assert live.lines("An operator set the sampling rules for 0.3 s: *=0.")


class TestWorkers:
    def _replaced(self, live: Live, gone: int) -> dict[int, bool]:
        """The workers, once another one serves in the place of `gone`."""
        assert wait_for(lambda: gone not in (found := live.workers()) and len(found) == 2, 20, 0.2)
        return live.workers()

    def test_one_that_is_started_later_does_as_the_others(self, start: Start) -> None:
        live = start(f"{UVICORN} --workers 2")
        assert wait_for(lambda: len(live.workers()) == 2, 20)
        assert [one["on"] for one in live.do("off", "--for", "1h")] == [False] * 3
        gone = min(live.workers())
        os.kill(gone, signal.SIGKILL)
        assert set(self._replaced(live, gone).values()) == {False}
        ends = [one["off_until"] for one in live.do("status")]
        assert max(ends) - min(ends) < 1
        live.do("on")
        live.do("set", "sampling", "*=0")
        gone = max(live.workers())
        os.kill(gone, signal.SIGKILL)
        assert set(self._replaced(live, gone).values()) == {True}
        assert {one["sampler_set_by"] for one in live.do("status")} == {"tracebaton set"}
        assert wait_for(lambda: live.lines("The sampling rules are those that an operator gave the parent"), 5)

    @pytest.mark.parametrize("preload", ["", " --preload"])
    def test_so_do_gunicorn_s(self, start: Start, preload: str) -> None:
        command = "gunicorn live_app:app --bind 127.0.0.1:{port} --workers 2 -k uvicorn_worker.UvicornWorker" + preload
        live = start(command)
        assert wait_for(lambda: len(live.workers()) == 2, 20)
        live.do("off", "--for", "1h")
        gone = min(live.workers())
        os.kill(gone, signal.SIGKILL)
        assert set(self._replaced(live, gone).values()) == {False}
        assert live.get("/work", **CALLER)["sent"] == {}
        (master,) = [one for one in live.do("status") if one["pid"] == live.service.child.pid]
        assert master["command"] == "gunicorn live_app:app"

    def test_one_that_is_reloaded_does_too(self, start: Start, tmp_path: Any) -> None:
        app = tmp_path / "live_app.py"
        app.write_text((APPS / "live_app.py").read_text())
        command = f"{UVICORN} --reload --reload-dir {tmp_path} --app-dir {tmp_path}"
        live = start(command)
        assert wait_for(lambda: len(live.workers()) == 1, 20)
        (before,) = live.workers()
        live.do("off")
        app.write_text(app.read_text() + "\n")
        assert wait_for(lambda: before not in (found := live.workers()) and len(found) == 1, 30, 0.2)
        assert set(live.states().values()) == {False}


def test_a_disabled_process_has_no_socket(system: System) -> None:
    name = f"live-{uuid.uuid4().hex[:12]}"
    service = launch(system, name, [*TRACED, *UVICORN.split()], env={"OTEL_SDK_DISABLED": "true"})
    system.agents.append(name)
    wait_until_ready(service)
    assert [one for pid, one in listed() if pid == service.child.pid] == []
    assert tracebaton("status", "--service", name, status=1) == []


SECRETS = ("s3cret-header", "s3cret-password", "s3cret-query")


def test_status_says_what_became_of_the_spans_and_no_secrets(system: System, start: Start) -> None:
    live = start(env={"OTEL_TRACES_SAMPLER_ARG": "GET /who=1, *=0", "NEXT_URL": ""})
    for _ in range(7):
        live.get("/who")
    assert wait_for(lambda: live.status()[0]["exporters"][0]["counters"]["exported"] == 7, 10)
    (said,) = live.do("status")
    (exporter,) = said["exporters"]
    assert exporter["counters"] == {"exported": 7, "dropped": {}, "spooled": 0, "recovered": 0, "retried": 0}
    assert (exporter["waiting"], exporter["interrupted"], exporter["last_error"]) == (0, False, None)
    assert exporter["destination"] == system.grpc_endpoint
    assert said["command"] == "uvicorn live_app:app"


def test_status_of_one_that_cannot_deliver(system: System, start: Start, tmp_path: Any) -> None:
    port = system.free_port()  # nobody listens there
    env = {
        "OTEL_TRACES_SAMPLER_ARG": "GET /who=1, *=0",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://user:s3cret-password@{HOST}:{port}/?key=s3cret-query",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=s3cret-header",
        "OTEL_BSP_MAX_QUEUE_SIZE": "4",
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "1",
        "OTEL_TRACEBATON_SHUTDOWN_TIMEOUT": "1s",
        "NEXT_URL": "",
    }
    live = start(env=env)

    def exporter() -> dict[str, Any]:
        found: dict[str, Any] = live.status()[0]["exporters"][0]
        return found

    for number in range(1, 9):
        live.get("/who")
        assert wait_for(
            lambda number=number: (  # type: ignore[misc]
                sum(exporter()["counters"]["dropped"].values()) + exporter()["waiting"] == number
            ),
            10,
        ), exporter()
    assert wait_for(lambda: exporter()["interrupted"], 10)
    found = exporter()
    assert (found["waiting"], sum(found["counters"]["dropped"].values())) == (4, 4)
    assert "refused" in found["last_error"]
    text = subprocess.run(
        [sys.executable, "-m", "tracebaton.cli", "status", "--service", live.name],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "cannot be reached" in text
    assert "4 waiting in memory" in text
    assert [secret for secret in SECRETS if secret in text + json.dumps(live.do("status"))] == []
    spool = start(env={**env, "OTEL_TRACEBATON_SPOOL_DIR": str(tmp_path / "spool")})
    spool.get("/who")
    assert wait_for(lambda: spool.status()[0]["exporters"][0]["counters"]["spooled"] == 1, 10)
