"""A kept call is described as the span that a sampled request has for the same call: real clients, a real server.

Both are made in one process by upstream's instrumentations; where one is not installed, its tests say so. Not compared:
ids, times, and the lines of tracebacks.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
from contextlib import closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from opentelemetry.trace import SpanKind
from unsampled_calls import SPAN_ID, TRACE_ID, Unsampled, described, with_conventions

from tracebaton_configurator.propagation import http_clients, upstream_semconv
from tracebaton_configurator.sampling.late_spans import REASON

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Where `make test` puts instrumentations that are not always released together with the rest.
sys.path.append(str(Path(sys.prefix, "other-instrumentations")))

CLIENTS = {
    "httpx": ("httpx", "HTTPXClientInstrumentor"),
    "httpx-async": ("httpx", "HTTPXClientInstrumentor"),
    "requests": ("requests", "RequestsInstrumentor"),
    "urllib3": ("urllib3", "URLLib3Instrumentor"),
    "aiohttp-client": ("aiohttp_client", "AioHttpClientInstrumentor"),
}
TRANSPORTS = ((httpx.HTTPTransport, "handle_request"), (httpx.AsyncHTTPTransport, "handle_async_request"))
ANSWERS = ("/200", "/404", "/500", "/200?token=s3cret&sig=s3cret&page=2", "refused", "timeout")
STATUS_CODES = {"http.response.status_code", "http.status_code"}
SECONDS = 0.3
CONNECT = 20.0


class Service:
    """Answers with the status that the path says, or not before it is closed."""

    def __init__(self) -> None:
        self.over = over = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                if self.path == "/timeout":
                    over.wait(30)
                    self.close_connection = True
                    return
                # At once, so that aiohttp has the whole body when it has the headers.
                self.wfile.write(f"HTTP/1.1 {self.path[1:4]} Said\r\ncontent-length: 2\r\n\r\nok".encode())

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name it has there)
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with closing(Service()) as made:
        yield made


@pytest.fixture(scope="module")
def nobody() -> Iterator[str]:
    """An address where nobody listens, and nobody else can begin to."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


def patience(url: str) -> float:
    """Seconds to wait for an answer: short only where there is none."""
    return SECONDS if url.endswith("/timeout") else CONNECT


def call(name: str, url: str) -> None:
    """One GET, whatever comes of it."""
    if name == "httpx":
        with suppress(httpx.HTTPError), httpx.Client(timeout=httpx.Timeout(CONNECT, read=patience(url))) as client:
            client.get(url)
    elif name == "requests":
        import requests

        with suppress(requests.RequestException):
            requests.get(url, timeout=(CONNECT, patience(url)))
    elif name == "urllib3":
        import urllib3

        with suppress(urllib3.exceptions.HTTPError), urllib3.PoolManager(retries=False) as pool:
            timeout = urllib3.Timeout(connect=CONNECT, read=patience(url))
            pool.request("GET", url, timeout=timeout, retries=False)
    else:
        asyncio.run(call_async(name, url))


async def call_async(name: str, url: str) -> None:
    if name == "httpx-async":
        with suppress(httpx.HTTPError):
            async with httpx.AsyncClient(timeout=httpx.Timeout(CONNECT, read=patience(url))) as client:
                await client.get(url)
        return
    import aiohttp

    timeout = aiohttp.ClientTimeout(sock_read=patience(url))
    with suppress(aiohttp.ClientError, asyncio.TimeoutError):
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as response:
            await response.read()


@contextmanager
def instrumented(name: str, provider: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The client, by upstream and prepared by this project; put back as it was."""
    module_name, instrumentor_name = CLIENTS[name]
    module = pytest.importorskip(
        f"opentelemetry.instrumentation.{module_name}", reason=f"the instrumentation of {name} is not installed"
    )
    instrumentor = getattr(module, instrumentor_name)()
    around = http_clients.around()[name.removesuffix("-async")]
    if module_name == "httpx":
        for kind, method in TRANSPORTS:
            monkeypatch.setattr(kind, method, kind.__dict__[method])
        version = import_module(f"{module.__name__}.version").__version__
        monkeypatch.setattr(http_clients, "_tracer", provider.get_tracer(http_clients._SCOPE, version))
        around.before()
    for asked in ("is_http_instrumentation_enabled", "is_instrumentation_enabled"):
        if hasattr(module, asked):
            monkeypatch.setattr(module, asked, getattr(module, asked))
    instrumentor.instrument(tracer_provider=provider)
    if around.after is not None:
        around.after()
    try:
        yield
    finally:
        instrumentor.uninstrument()


@pytest.mark.parametrize("conventions", [None, "http", "http/dup"])
@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("name", CLIENTS)
def test_http(
    name: str,
    answer: str,
    conventions: str | None,
    service: Service,
    nobody: str,
    traced: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with_conventions(conventions, monkeypatch)
    upstream_semconv.mode.cache_clear()
    url = nobody if answer == "refused" else service.url + "/" + answer.lstrip("/")
    process = traced("*=1")
    request = Unsampled(process.late_spans)
    with instrumented(name, process.provider, monkeypatch):
        call(name, url)
        with request.entered():
            call(name, url)
        failed = request.decision.call_failed
        request.end(failed=True)
    upstream_semconv.mode.cache_clear()
    sampled, kept = process.spans()
    assert described(kept) == described(sampled)
    assert (kept.attributes.keys() & STATUS_CODES != set()) is answer.startswith("/")
    assert kept.kind is SpanKind.CLIENT
    assert (kept.context.trace_id, kept.parent.span_id) == (TRACE_ID, SPAN_ID)
    assert kept.attributes[REASON] == "error"
    assert failed is (answer in ("/500", "refused", "timeout"))
