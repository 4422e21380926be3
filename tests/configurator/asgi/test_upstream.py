"""What the gate takes for granted about other people's code: where this fails, upstream has changed."""

from __future__ import annotations

import inspect
from importlib.metadata import version

import httpx
import pytest
from fastapi import FastAPI
from opentelemetry import context as context_api
from opentelemetry import propagate, trace
from opentelemetry.instrumentation import asgi
from opentelemetry.instrumentation import utils as instrumentation_utils
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.sdk.trace import TracerProvider
from starlette.middleware.errors import ServerErrorMiddleware

from tracebaton_configurator.asgi import upstream_asgi
from tracebaton_configurator.sampling import upstream


def instrumented() -> FastAPI:
    app = FastAPI()
    FastAPIInstrumentor.instrument_app(app, tracer_provider=TracerProvider(shutdown_on_exit=False))
    return app


class TestContext:
    def test_the_current_span_is_under_the_key(self) -> None:
        span = trace.NonRecordingSpan(trace.SpanContext(1, 2, is_remote=False))
        assert trace.set_span_in_context(span, context_api.Context())[upstream.CURRENT_SPAN] is span
        assert trace.get_current_span(context_api.Context({upstream.CURRENT_SPAN: span})) is span

    def test_the_key_suppresses_instrumentation(self) -> None:
        token = context_api.attach(context_api.Context({upstream.SUPPRESS_INSTRUMENTATION: True}))
        try:
            assert not instrumentation_utils.is_instrumentation_enabled()
            assert not instrumentation_utils.is_http_instrumentation_enabled()
        finally:
            context_api.detach(token)
        assert instrumentation_utils.is_instrumentation_enabled()

    def test_a_context_is_a_dictionary(self) -> None:
        assert issubclass(context_api.Context, dict)

    def test_a_composite_propagator_shows_its_parts(self) -> None:
        part = propagate.get_global_textmap()
        assert list(CompositePropagator([part])._propagators) == [part]


class TestFastAPIInstrumentation:
    def test_its_middleware_is_right_below_one_that_handles_its_errors(self) -> None:
        stack = instrumented().build_middleware_stack()
        assert type(stack) is ServerErrorMiddleware
        assert type(stack.app) is OpenTelemetryMiddleware
        assert type(stack.app.app) is ServerErrorMiddleware

    def test_it_replaces_the_method_that_builds_the_stack(self) -> None:
        app = FastAPI()
        before = app.build_middleware_stack
        FastAPIInstrumentor.instrument_app(app, tracer_provider=TracerProvider(shutdown_on_exit=False))
        assert app.build_middleware_stack != before
        after = app.build_middleware_stack
        FastAPIInstrumentor.instrument_app(app, tracer_provider=TracerProvider(shutdown_on_exit=False))
        assert app.build_middleware_stack == after, "the second time nothing is done"

    def test_a_provider_is_the_fourth_and_fifth_argument(self) -> None:
        """After the application, as the patched `instrument_app` counts them."""
        names = list(inspect.signature(FastAPIInstrumentor.instrument_app).parameters)
        assert names[0] == "app"
        assert names[4:6] == ["tracer_provider", "meter_provider"]

    def test_it_is_called_for_each_application_by_that_name(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """`_InstrumentedFastAPI.__init__` looks `FastAPIInstrumentor.instrument_app` up when it runs."""
        from opentelemetry.instrumentation.fastapi import _InstrumentedFastAPI

        seen: list[object] = []
        monkeypatch.setattr(FastAPIInstrumentor, "instrument_app", staticmethod(lambda app, **_: seen.append(app)))
        app = _InstrumentedFastAPI()
        assert seen == [app]

    @pytest.mark.parametrize(
        "name",
        [
            "app",
            "tracer",
            "excluded_urls",
            "default_span_details",
            "server_request_hook",
            "client_request_hook",
            "client_response_hook",
            "http_capture_headers_server_request",
            "http_capture_headers_server_response",
            "exclude_receive_span",
            "exclude_send_span",
            "_sem_conv_opt_in_mode",
        ],
    )
    def test_its_middleware_has_what_is_read(self, name: str) -> None:
        assert hasattr(instrumented().build_middleware_stack().app, name)  # type: ignore[attr-defined]

    def test_excluded_urls_show_whether_there_are_any(self) -> None:
        """`_excluded_urls` is empty without a pattern; `url_disabled` takes a URL."""
        middleware = instrumented().build_middleware_stack().app  # type: ignore[attr-defined]
        assert not middleware.excluded_urls._excluded_urls
        assert middleware.excluded_urls.url_disabled("http://shop.example/") is False

    def test_functions_of_the_asgi_instrumentation(self) -> None:
        assert list(inspect.signature(asgi.collect_request_attributes).parameters) == ["scope", "sem_conv_opt_in_mode"]
        assert list(inspect.signature(asgi.set_status_code).parameters) == [
            "span",
            "status_code",
            "metric_attributes",
            "sem_conv_opt_in_mode",
        ]
        scope = {"type": "http", "path": "/", "headers": [(b"host", b"shop.example")]}
        assert asgi.get_host_port_url_tuple(scope)[2] == "http://shop.example/"
        assert callable(asgi._decode_header_item)

    def test_the_attributes_need_two_headers_only(self) -> None:
        """What is remembered for a request is remembered by these two: `host` and `user-agent`."""

        class Watched(asgi.ASGIGetter):
            asked: set[str] = set()  # noqa: RUF012 (one test, one class)

            def get(self, carrier: dict[str, object], key: str) -> list[str] | None:
                self.asked.add(key)
                return super().get(carrier, key)

        watched, before = Watched(), asgi.asgi_getter
        asgi.asgi_getter = watched
        try:
            scope = {"type": "http", "path": "/x", "method": "GET", "headers": [(b"a", b"b")], "query_string": b"q=1"}
            asgi.collect_request_attributes(scope, upstream_asgi.StabilityMode.HTTP_DUP)
        finally:
            asgi.asgi_getter = before
        assert watched.asked == {"host", "user-agent"}


class TestHttpx:
    def test_its_wrapper_shows_what_it_wraps(self) -> None:
        before = httpx.HTTPTransport.__dict__["handle_request"]
        instrumentor = HTTPXClientInstrumentor()
        instrumentor.instrument(tracer_provider=TracerProvider(shutdown_on_exit=False))
        try:
            transport = httpx.HTTPTransport()
            bound = transport.handle_request
            assert bound.__wrapped__ == before.__get__(transport)  # type: ignore[attr-defined]
            transport.close()
        finally:
            instrumentor.uninstrument()
        assert httpx.HTTPTransport.__dict__["handle_request"] is before

    def test_the_request_is_the_first_argument(self) -> None:
        for method in (httpx.HTTPTransport.handle_request, httpx.AsyncHTTPTransport.handle_async_request):
            assert list(inspect.signature(method).parameters)[1] == "request"


class TestNativeTelemetry:
    @pytest.fixture(autouse=True)
    def needs_it(self) -> None:
        pytest.importorskip("fastapi.telemetry", reason=f"FastAPI {version('fastapi')} has no native telemetry")

    def test_it_is_switched_off_by_a_key_in_the_scope(self) -> None:
        source = inspect.getsource(FastAPI.__call__)
        assert '"fastapi.telemetry" in scope' in source

    def test_its_settings_are_a_dictionary_that_is_read_for_each_request(self) -> None:
        app = FastAPI()
        assert isinstance(app._telemetry, dict)
        assert {"tracing", "metrics", "logs"} <= app._telemetry.keys()
        assert app._native_telemetry.config is app._telemetry

    def test_it_finds_contribs_middleware_below_the_gate(self) -> None:
        from fastapi.telemetry._asgi import _legacy_otel

        class Above:
            def __init__(self, app: object) -> None:
                self.app = app

        assert _legacy_otel(Above(instrumented().build_middleware_stack()))
        assert not _legacy_otel(Above(FastAPI().build_middleware_stack()))
