"""Applications behind the gate, without a global provider; what is patched for the process is put back afterwards."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
# Where `make test` puts instrumentations that are not always released together with the rest.
sys.path.append(str(Path(sys.prefix, "other-instrumentations")))

from opentelemetry import propagate
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.background import BackgroundTask

from tracebaton_configurator.asgi.fast_path import FastPath
from tracebaton_configurator.asgi.instrumentation import _propagates_w3c_only
from tracebaton_configurator.asgi.middleware import add_sampling_middleware
from tracebaton_configurator.propagation.trust import Trust
from tracebaton_configurator.propagation.w3c import propagator
from tracebaton_configurator.sampling.late_spans import LateSpans
from tracebaton_configurator.sampling.root_sampler import RootSampler, RuleRootSampler, SdkRootSampler
from tracebaton_configurator.sampling.rule_set import RuleSet
from tracebaton_configurator.sampling.rules import effective_rules
from tracebaton_configurator.sampling.sampler import DecisionIdGenerator, TracebatonSampler

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from fastapi import FastAPI
    from opentelemetry.sdk.trace.sampling import Sampler


class Behind:
    """What `pipeline.start` builds, around a provider of its own whose spans stay in memory."""

    def __init__(
        self,
        rules: str | Sampler,
        *,
        follows_parents: bool = True,
        trust: Any = True,
        keep_errors: bool = True,
        keep_slower_than: float | None = None,
        keep_total: bool = False,
        keep_per_second: int = 10,
    ) -> None:
        root_sampler: RootSampler
        if isinstance(rules, str):
            self.rule_set = RuleSet(effective_rules(rules))
            root_sampler = RuleRootSampler(self.rule_set)
        else:
            root_sampler = SdkRootSampler(rules)
        sampler = TracebatonSampler(root_sampler, follows_parents=follows_parents)
        ids = DecisionIdGenerator(RandomIdGenerator())
        self.memory = InMemorySpanExporter()
        self.provider = TracerProvider(sampler=sampler, id_generator=ids, shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self.memory))
        self.fast_path = FastPath(sampler, ids, Trust(trust), w3c_only=_propagates_w3c_only())
        self.late_spans = LateSpans(
            errors=keep_errors, slower_than=keep_slower_than, per_second=keep_per_second, total=keep_total
        )

    def put_on(self, app: FastAPI, *, exclude_spans: Sequence[str] = ("send", "receive"), **arguments: Any) -> FastAPI:
        """Instrument `app` as upstream does, and put the sampling middleware on top."""
        FastAPIInstrumentor.instrument_app(
            app, tracer_provider=self.provider, exclude_spans=list(exclude_spans), **arguments
        )
        add_sampling_middleware(app, self)
        return app

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self.memory.get_finished_spans())

    @property
    def names(self) -> list[str]:
        return [span.name for span in self.spans]

    @property
    def only(self) -> ReadableSpan:
        (span,) = self.spans
        return span


@pytest.fixture(autouse=True)
def patched() -> Iterator[None]:
    """The strict W3C propagators, as `pipeline.start` installs them; upstream's patch of Starlette is undone."""
    before, call = propagate.get_global_textmap(), BackgroundTask.__call__
    propagate.set_global_textmap(CompositePropagator([TraceContextTextMapPropagator(), W3CBaggagePropagator()]))
    propagator.install()
    yield
    propagate.set_global_textmap(before)
    if hasattr(BackgroundTask, "_otel_original_call"):
        BackgroundTask.__call__ = call  # type: ignore[method-assign]
        del BackgroundTask._otel_original_call


@pytest.fixture
def behind() -> Callable[..., Behind]:
    return Behind


@contextmanager
def _traced_httpx(provider: TracerProvider) -> Iterator[None]:
    import httpx
    from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor

    from tracebaton_configurator.propagation import http_clients

    kinds = ((httpx.HTTPTransport, "handle_request"), (httpx.AsyncHTTPTransport, "handle_async_request"))
    before = [kind.__dict__[name] for kind, name in kinds]
    instrumentor = HTTPXClientInstrumentor()
    http_clients.around()["httpx"].before()
    instrumentor.instrument(tracer_provider=provider)
    try:
        yield
    finally:
        instrumentor.uninstrument()
        for (kind, name), method in zip(kinds, before, strict=True):
            setattr(kind, name, method)


@pytest.fixture
def traced_httpx() -> Any:
    """Inside the `with`, httpx is instrumented by upstream with this provider, and prepared by the gate."""
    return _traced_httpx


class Downstream:
    """The next service: a real server that remembers which headers it was sent."""

    def __init__(self, url: str, seen: list[dict[str, str]]) -> None:
        self.url = url
        self.seen = seen

    def traceparents(self) -> list[str]:
        return [headers.get("traceparent", "") for headers in self.seen]


@pytest.fixture
def downstream() -> Iterator[Downstream]:
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
    from threading import Thread

    seen: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            seen.append({name.lower(): value for name, value in self.headers.items()})
            self.send_response(302 if self.path == "/redirect" else 200)
            if self.path == "/redirect":
                self.send_header("location", "/end")
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name it has there)
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield Downstream(f"http://127.0.0.1:{server.server_port}", seen)
    server.shutdown()
    server.server_close()
    thread.join(5)
