"""A line carries the ids of the request that it belongs to, and of no other, from wherever it is logged."""

from __future__ import annotations

import asyncio
import re
import sys
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from harness import TRACED, System
from processes import HOST, stop, wait_for
from spans import path_of
from websockets.sync.client import connect

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from typing_extensions import Self

    from tracebaton.view.spans import Span

APPS = Path(__file__).parent / "apps"
# See the Makefile.
THREADING = Path(sys.prefix, "threading-instrumentation")
NATIVE = {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "fastapi"}
THREADS = {"PYTHONPATH": str(THREADING)}
# The path, and how many lines of the application itself it brings about: two middlewares have three.
REQUESTS = {
    "/plain": 4,
    "/thread": 4,
    "/dependency": 6,
    "/background": 5,
    "/handler": 4,
    "/fail": 2,  # what is behind the call into the application does not run
    "/task": 6,
    "/outlives": 4,
    "/to-thread": 4,
    "/executor": 4,
    "/stream": 5,
    "/sync-stream": 5,
    "/call": 4,
    "/queued": 4,
    "/sub/mounted": 4,
}
# Upstream makes spans for a mounted application and for each background task; their lines belong to these.
WITH_SPANS_BELOW = ("/sub/mounted", "/background")
CONCURRENT = 50
STATUS = {"/handler": 418, "/fail": 500}


class Run:
    """One process: what it was asked, what it logged, what arrived."""

    def __init__(self, system: System, environ: dict[str, str]) -> None:
        self.sampled = environ["OTEL_TRACES_SAMPLER_ARG"] == "1"
        self.native = NATIVE.items() <= environ.items()
        with Downstream() as downstream:
            port = system.free_port()
            always = {
                "OTEL_EXPORTER_OTLP_ENDPOINT": system.grpc_endpoint,
                "OTEL_BSP_SCHEDULE_DELAY": "200",
                "NEXT_URL": downstream.url,
            }
            command = [*TRACED, "uvicorn", "ids_app:app", "--host", HOST, "--port", str(port)]
            environ = {**always, **environ, "OTEL_SERVICE_NAME": f"ids-{port}"}
            child = system.start(f"ids-{port}", command, env=environ, cwd=APPS)
            child.wait_for_ports(port)
            for path in (*REQUESTS, "/release", "/drain"):
                assert httpx.get(f"http://{HOST}:{port}{path}").status_code == STATUS.get(path, 200)
            with connect(f"ws://{HOST}:{port}/socket") as socket:
                socket.send("x")
                socket.recv()
            asyncio.run(many(f"http://{HOST}:{port}"))
            self.traceparents = downstream.traceparents
        count = len(REQUESTS) + 2 + 1 + CONCURRENT
        if self.sampled:
            wait_for(lambda: sum(span.kind == "SERVER" for span in system.spans()) >= count, 15, 0.1)
        stop([child], 10)
        self.spans: Sequence[Span] = [span for span in system.spans() if span.service == f"ids-{port}"]
        self.lines = system.logs(f"ids-{port}")
        self.by_path: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        for line in self.lines:
            found = re.match(r"\S*/\S*|\(\w+\)", line["message"])
            if found and line["logger"] in ("ids", "later"):
                self.by_path[found[0]].append(line)

    def server(self, path: str) -> Span:
        spans = [span for span in self.spans if span.kind == "SERVER"]
        (span,) = [span for span in spans if path in (path_of(span), span.attributes.get("http.route"))]
        return span


async def many(url: str) -> None:
    async with httpx.AsyncClient(base_url=url, limits=httpx.Limits(max_connections=CONCURRENT)) as client:
        await asyncio.gather(*(client.get(f"/mix/{number}") for number in range(CONCURRENT)))


class Downstream:
    """The next service: notes with which `traceparent` it is called."""

    def __enter__(self) -> Self:
        traceparents: list[str | None] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                traceparents.append(self.headers["traceparent"])
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        self.traceparents = traceparents
        self._server = ThreadingHTTPServer((HOST, 0), Handler)
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        self.url = f"http://{HOST}:{self._server.server_port}/"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture(
    params=[("1", {}), ("0", {}), ("1", NATIVE), ("0", NATIVE), ("1", THREADS), ("0", THREADS)],
    ids=["sampled", "unsampled", "sampled, native", "unsampled, native", "sampled, threading", "unsampled, threading"],
    scope="module",
)
def ran(request: pytest.FixtureRequest) -> Iterator[Run]:
    rate, environ = request.param
    if "PYTHONPATH" in environ and not THREADING.is_dir():
        pytest.skip("opentelemetry-instrumentation-threading is not there: NOT tested")
    with System() as system:
        system.start_receiver()
        yield Run(system, {"OTEL_TRACES_SAMPLER_ARG": rate, **environ})


def ids_of(line: dict[str, Any]) -> tuple[str, str, str]:
    return line["trace_id"], line["span_id"], line["trace_flags"]


def test_every_line_of_a_request_has_its_ids(ran: Run) -> None:
    seen = set()
    for path, count in {**REQUESTS, "/socket": 4}.items():
        lines = ran.by_path[path]
        assert len(lines) == count, path
        assert {line["trace_flags"] for line in lines} == {"01" if ran.sampled else "00"}
        traces = {line["trace_id"] for line in lines}
        assert len(traces) == 1, path
        assert not traces & seen
        seen |= traces
        if ran.sampled:
            server = ran.server(path)
            assert traces == {server.trace_id}
            inside = {span.span_id for span in ran.spans if span.trace_id == server.trace_id}
            below = ran.native or path in WITH_SPANS_BELOW
            assert {line["span_id"] for line in lines} <= (inside if below else {server.span_id})
        elif path not in WITH_SPANS_BELOW:
            assert len({line["span_id"] for line in lines}) == 1


def test_the_servers_own_lines_have_them_too(ran: Run) -> None:
    for path in REQUESTS:
        (access,) = [line for line in ran.lines if f'"GET {path} HTTP' in line["message"]]
        assert access["logger"] == "uvicorn.access"
        expected = ran.by_path[path][0]
        assert access["trace_id"] == expected["trace_id"]
        if not ran.native:
            assert access["span_id"] == expected["span_id"]
    (failed,) = [line for line in ran.lines if line["message"].startswith("Exception in ASGI application")]
    assert "ValueError: /fail unhandled" in failed["exc_info"]
    assert failed["trace_id"] == ran.by_path["/fail"][0]["trace_id"]
    if ran.sampled:
        assert failed["span_id"] == ran.server("/fail").span_id
    (accepted,) = [line for line in ran.lines if '"WebSocket /socket' in line["message"]]
    assert accepted["trace_id"] == ran.by_path["/socket"][0]["trace_id"]


def test_what_is_sent_downstream_says_the_same(ran: Run) -> None:
    (traceparent,) = ran.traceparents
    assert traceparent is not None
    _, trace_id, span_id, flags = traceparent.split("-")
    line = next(line for line in ran.by_path["/call"] if "endpoint" in line["message"])
    assert trace_id == line["trace_id"]
    assert int(flags, 16) & 1 == int(line["trace_flags"])
    if ran.sampled:
        (client,) = [span for span in ran.spans if span.span_id == span_id]
        assert (client.kind, client.parent_span_id) == ("CLIENT", line["span_id"])
    else:
        assert span_id not in {line["span_id"] for line in ran.by_path["/call"]}, "the call has an id of its own"


def test_a_line_outside_any_request_has_none(ran: Run) -> None:
    outside = ran.by_path["(none)"]
    texts = [line["message"] for line in outside]
    assert texts[0] == "(none) starting"
    assert texts[-1] == "(none) stopping"
    assert texts.count("(none) periodic") >= 3
    outside += [line for line in ran.lines if line["logger"] in ("uvicorn.error", "tracebaton", "asyncio")]
    about_requests = ("Exception in ASGI", f"{HOST}:", "connection ")
    for line in outside:
        if not line["message"].startswith(about_requests):
            assert not {"trace_id", "span_id", "trace_flags"} & line.keys(), line


def test_concurrent_requests_never_mix(ran: Run) -> None:
    found = set()
    for number in range(CONCURRENT):
        lines = ran.by_path[f"/mix/{number}"]
        assert len(lines) == 7
        traces = {line["trace_id"] for line in lines}
        assert len(traces) == 1
        found |= traces
        if ran.sampled:
            assert traces == {ran.server(f"/mix/{number}").trace_id}
    assert len(found) == CONCURRENT
