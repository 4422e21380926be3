"""What is said of a call over httpx is what upstream says, though it is worked out once for each address and status."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from inspect import unwrap
from typing import TYPE_CHECKING, Any

import httpx
import opentelemetry.instrumentation.httpx as upstream
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import baggage, context, propagate, trace
from opentelemetry.instrumentation._semconv import _OpenTelemetrySemanticConventionStability
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.instrumentation.utils import suppress_http_instrumentation, suppress_instrumentation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON

from tracebaton_configurator.patching import registry
from tracebaton_configurator.propagation.upstream_httpx_calls import HEADERS, remember_calls

if TYPE_CHECKING:
    from collections.abc import Iterator

MODES = ["", "http", "http/dup"]
PATCHED = (
    "is_http_instrumentation_enabled",
    "_get_default_span_name",
    "_extract_parameters",
    "_inject_propagation_headers",
    "_apply_request_client_attributes_to_span",
    "_apply_response_client_attributes_to_span",
    "_apply_response_client_attributes_to_metrics",
    "_handle_request_wrapper",
    "_handle_async_request_wrapper",
)
CAPTURE = {
    "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_REQUEST": "x-.*",
    "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_RESPONSE": "x-.*",
    "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SANITIZE_FIELDS": "x-secret",
}


@contextmanager
def as_upstream() -> Iterator[None]:
    """Without the patch, which another test of this process may have applied, until the end of the block."""
    owners: list[Any] = [upstream, *(one for one in vars(upstream).values() if isinstance(one, type))]
    before = [(owner, name, value) for owner in owners for name, value in list(vars(owner).items())]
    for owner, name, value in before:
        function = getattr(value, "__func__", value)
        if hasattr(function, "__wrapped__") and name in PATCHED:
            original = unwrap(function)
            setattr(owner, name, staticmethod(original) if isinstance(value, staticmethod) else original)
    try:
        yield
    finally:
        for owner, name, value in before:
            if vars(owner).get(name) is not value:
                setattr(owner, name, value)


@contextmanager
def remembering() -> Iterator[None]:
    """With the patch, on upstream as it comes, until the end of the block."""
    with as_upstream():
        registry.apply("httpx-attributes", remember_calls)
        assert registry.outcome("httpx-attributes").status == "applied"
        assert all(hasattr(getattr(upstream, name), "__wrapped__") for name in PATCHED if hasattr(upstream, name))
        yield


class Ids(IdGenerator):
    """The same ones in each run."""

    def __init__(self) -> None:
        self.last = 0

    def generate_trace_id(self) -> int:
        return self.generate_span_id()

    def generate_span_id(self) -> int:
        self.last += 1
        return self.last


class Seen:
    """Everything that a call leaves: the span, the metrics, the headers sent, and what hooks are told."""

    def __init__(self, environment: dict[str, str], *, sampled: bool, hooks: bool) -> None:
        self.spans = InMemorySpanExporter()
        self.provider = TracerProvider(
            sampler=ALWAYS_ON if sampled else ALWAYS_OFF,
            id_generator=Ids(),
            span_limits=SpanLimits(max_span_attribute_length=200),
            shutdown_on_exit=False,
        )
        self.provider.add_span_processor(SimpleSpanProcessor(self.spans))
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider([self.reader], shutdown_on_exit=False)
        self.sent: list[Any] = []
        self.told: list[Any] = []
        self.hooks = hooks
        self.environment = environment

    def options(self, *, is_async: bool) -> dict[str, Any]:
        options: dict[str, Any] = {"tracer_provider": self.provider, "meter_provider": self.meters}
        if not self.hooks:
            return options

        def on_request(span: trace.Span, request: Any) -> None:
            span.set_attribute("by.hook", str(request.url))
            self.told.append((request.method, str(request.url), type(request.url), list(request.headers.raw)))

        def on_answer(span: trace.Span, request: Any, response: Any) -> None:
            self.told.append((request.method, response.status_code, list(response.headers.raw)))

        async def on_request_later(*all_of_it: Any) -> None:
            on_request(*all_of_it)

        async def on_answer_later(*all_of_it: Any) -> None:
            on_answer(*all_of_it)

        if is_async:
            return {**options, "request_hook": on_request_later, "response_hook": on_answer_later}
        return {**options, "request_hook": on_request, "response_hook": on_answer}

    def all(self) -> dict[str, Any]:
        spans = [
            (
                span.name,
                span.kind,
                list((span.attributes or {}).items()),
                span.status.status_code,
                span.status.description,
                span.dropped_attributes,
                [event.name for event in span.events],
            )
            for span in self.spans.get_finished_spans()
        ]
        data = self.reader.get_metrics_data()
        points = [
            (metric.name, dict(point.attributes or {}), getattr(point, "count", None))
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            for point in metric.data.data_points
        ]
        return {"spans": spans, "metrics": sorted(points, key=repr), "sent": self.sent, "told": self.told}


class Transport(httpx.BaseTransport, httpx.AsyncBaseTransport):
    def __init__(self, seen: Seen, answer: int | Exception, version: bytes) -> None:
        self._seen = seen
        self._answer = answer
        self._version = version

    def _handle(self, request: httpx.Request) -> httpx.Response:
        self._seen.sent.append(sorted(request.headers.multi_items()))
        if isinstance(self._answer, Exception):
            raise self._answer
        extensions = {"http_version": self._version} if self._version else {}
        headers = {"x-answer": "yes", "x-secret": "s3cret"}
        return httpx.Response(self._answer, headers=headers, content=b"ok", extensions=extensions)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._handle(request)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return self._handle(request)


class Case:
    """One call, made twice: the second one is remembered."""

    def __init__(
        self,
        url: str = "http://backend:8000/chat",
        *,
        method: str = "GET",
        answer: int | Exception = 200,
        version: bytes = b"HTTP/1.1",
        headers: list[tuple[str, str]] | None = None,
        environment: dict[str, str] | None = None,
        sampled: bool = True,
        hooks: bool = False,
        is_async: bool = False,
    ) -> None:
        self.url, self.method, self.answer, self.version = url, method, answer, version
        self.headers = headers or []
        self.environment = environment or {}
        self.sampled, self.hooks, self.is_async = sampled, hooks, is_async

    def seen(self) -> dict[str, Any]:
        with pytest.MonkeyPatch.context() as patch:
            for name in ("OTEL_SEMCONV_STABILITY_OPT_IN", *CAPTURE, "OTEL_PYTHON_HTTPX_EXCLUDED_URLS"):
                patch.delenv(name, raising=False)
            for name, value in self.environment.items():
                patch.setenv(name, value)
            patch.setattr(_OpenTelemetrySemanticConventionStability, "_initialized", False)
            patch.setattr(_OpenTelemetrySemanticConventionStability, "_OTEL_SEMCONV_STABILITY_SIGNAL_MAPPING", {})
            seen = Seen(self.environment, sampled=self.sampled, hooks=self.hooks)
            token = context.attach(baggage.set_baggage("tenant", "acme"))
            try:
                for _ in range(2):
                    if self.is_async:
                        asyncio.run(self._call_async(seen, Transport(seen, self.answer, self.version)))
                    else:
                        self._call(seen, Transport(seen, self.answer, self.version))
            finally:
                context.detach(token)
            return seen.all()

    def _call(self, seen: Seen, transport: Any) -> None:
        with httpx.Client(transport=transport, headers=self.headers) as client:
            HTTPXClientInstrumentor.instrument_client(client, **seen.options(is_async=False))
            try:
                client.request(self.method, self.url)
            except Exception as error:  # noqa: BLE001 (what the application sees)
                seen.told.append(repr(error))

    async def _call_async(self, seen: Seen, transport: Any) -> None:
        async with httpx.AsyncClient(transport=transport, headers=self.headers) as client:
            HTTPXClientInstrumentor.instrument_client(client, **seen.options(is_async=True))
            try:
                await client.request(self.method, self.url)
            except Exception as error:  # noqa: BLE001 (what the application sees)
                seen.told.append(repr(error))


def assert_same(case: Case) -> dict[str, Any]:
    with as_upstream():
        expected = case.seen()
    with remembering():
        assert case.seen() == expected
    return expected


URLS = st.one_of(
    st.sampled_from(
        [
            "http://backend:8000/chat",
            "https://backend/",
            "http://user:p4ss@backend/a?token=s3cret&q=1",
            "http://backend/a?sig=abc&Signature=def",
            "http://[::1]:9000/x",
            "http://127.0.0.1:80/x",
            "http://bücher.example/straße?ä=ö",
            "http://backend/a%20b/%C3%A4;p=1",
            "http://backend/a#part",
            f"http://backend/{'long/' * 200}",
            "HTTP://BACKEND:80/Chat/../x",
        ]
    ),
    st.builds(
        "http://host:{}/{}".format, st.integers(1, 65535), st.text(max_size=20).filter(lambda text: "#" not in text)
    ),
)


@given(
    url=URLS,
    method=st.sampled_from(["GET", "POST", "get", "QUERY", "X Y".replace(" ", "-"), "OPTIONS"]),
    answer=st.one_of(
        st.sampled_from([200, 204, 304, 400, 404, 500, 503, 599]),
        st.sampled_from([httpx.ConnectError("refused"), ValueError("odd"), httpx.ReadTimeout("late")]),
    ),
    version=st.sampled_from([b"HTTP/1.1", b"HTTP/2", b"HTTP/1.0", b""]),
    headers=st.lists(st.sampled_from([("x-a", "1"), ("X-Secret", "s3cret"), ("traceparent", "mine"), ("x-a", "2")])),
    mode=st.sampled_from(MODES),
    captures=st.booleans(),
    sampled=st.booleans(),
    hooks=st.booleans(),
    is_async=st.booleans(),
)
def test_it_is_what_upstream_says(*, url: str, mode: str, captures: bool, **options: Any) -> None:
    try:
        httpx.URL(url)
    except httpx.InvalidURL:
        return
    environment = {**({"OTEL_SEMCONV_STABILITY_OPT_IN": mode} if mode else {}), **(CAPTURE if captures else {})}
    assert_same(Case(url, environment=environment, **options))


@pytest.mark.parametrize("is_async", [False, True])
def test_excluded_addresses_are_excluded(is_async: bool) -> None:  # noqa: FBT001
    environment = {"OTEL_PYTHON_HTTPX_EXCLUDED_URLS": "backend:8000/quiet"}
    quiet = assert_same(Case("http://backend:8000/quiet", environment=environment, is_async=is_async))
    loud = assert_same(Case("http://backend:8000/loud", environment=environment, is_async=is_async))
    assert (len(quiet["spans"]), len(loud["spans"])) == (0, 2)


def test_an_address_is_worked_out_once_and_one_with_secrets_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    original = upstream._apply_request_client_attributes_to_span

    def counting(span: Any, metrics: Any, url: Any, *others: Any) -> None:
        calls.append(str(url))
        original(span, metrics, url, *others)

    monkeypatch.setattr(upstream, "_apply_request_client_attributes_to_span", counting)
    with remembering():
        for url in ("http://once/a", "http://once/a?key=s3cret", "http://me:pw@once/a", "http://once/a#b"):
            Case(url).seen()
    assert sorted(calls) == sorted(
        ["http://once/a", *["http://once/a?key=s3cret"] * 2, *["http://me:pw@once/a"] * 2, *["http://once/a#b"] * 2]
    )


def test_any_number_of_addresses_is_remembered_within_bounds() -> None:
    with remembering():
        apply = upstream._apply_request_client_attributes_to_span
        known = next(cell.cell_contents for cell in apply.__closure__ or () if isinstance(cell.cell_contents, dict))
        mode: Any = "a mode"
        for number in range(1000):
            apply({}, {}, httpx.URL(f"http://host/{number}"), "GET", mode, *([httpx] * TAKES_MODULE), None, None, None)
        assert 0 < len(known) <= 256


TAKES_MODULE = "module" in upstream._apply_request_client_attributes_to_span.__code__.co_varnames


@pytest.mark.parametrize("suppress", [suppress_instrumentation, suppress_http_instrumentation])
def test_what_is_suppressed_stays_suppressed(suppress: Any) -> None:
    with suppress():
        assert not assert_same(Case())["spans"]


def test_the_attributes_of_one_call_are_its_own() -> None:
    """A hook may change what it finds."""
    with remembering():
        upstream_said: list[dict[str, Any]] = []
        for _ in range(2):
            span: dict[str, Any] = {}
            metrics: dict[str, Any] = {}
            rest = ([httpx] * TAKES_MODULE) + [None, None, None]
            upstream._apply_request_client_attributes_to_span(
                span, metrics, httpx.URL("http://own/a"), "GET", upstream._StabilityMode.HTTP_DUP, *rest
            )
            upstream_said.append(dict(span))
            span["mine"] = metrics["mine"] = 1
        assert upstream_said[0] == upstream_said[1]


class TestHeaders:
    def test_a_name_that_is_there_is_replaced_in_whatever_case(self) -> None:
        for given_name in ("traceparent", "Traceparent", "TRACEPARENT"):
            headers = httpx.Headers([(given_name, "old"), ("a", "b"), (given_name, "older")])
            HEADERS.set(headers, "traceparent", "new")
            assert headers.get_list("traceparent") == ["new"]

    def test_what_is_set_is_found_as_what_the_default_sets(self) -> None:
        ours, theirs = httpx.Headers({"a": "b"}), httpx.Headers({"a": "b"})
        for key, value in (("tracestate", "x=1"), ("Baggage", "k=v"), ("odd", "ä"), ("odd", "ö")):
            HEADERS.set(ours, key, value)
            theirs[key] = value
        assert ours.multi_items() == theirs.multi_items()
        assert [(name.lower(), value) for name, value in ours.raw] == [
            (name.lower(), value) for name, value in theirs.raw
        ]
        assert ours == theirs

    def test_other_carriers_take_it(self) -> None:
        carrier: dict[str, str] = {}
        propagate.inject(carrier, setter=HEADERS)
        HEADERS.set(carrier, "a", "b")
        assert carrier["a"] == "b"
