"""Every part of somebody else's code that this package replaces: what, in which versions that was checked, and why."""

from __future__ import annotations

from typing import NamedTuple


class Patch(NamedTuple):
    """`versions` are those of `library` that it was checked with; `replaces` has dotted names; `why` is a clause."""

    name: str
    library: str
    versions: str
    replaces: str
    why: str


CATALOGUE = {
    patch.name: patch
    for patch in (
        Patch(
            "asgi-redaction",
            "opentelemetry-instrumentation-asgi",
            "0.63b0 to 0.66b2",
            "opentelemetry.instrumentation.asgi.collect_request_attributes",
            "secrets in a request's query are redacted before upstream decodes it",
        ),
        Patch(
            "children",
            "CPython",
            "3.10 to 3.14",
            "subprocess.Popen.__init__",
            "OTEL_TRACEBATON_CHILDREN=false: programs that the application runs start without the launcher",
        ),
        Patch(
            "exit",
            "CPython",
            "3.10 to 3.14",
            "os._exit",
            "a forked child that ends by it loses no span",
        ),
        Patch(
            "fastapi",
            "opentelemetry-instrumentation-fastapi",
            "0.63b0 to 0.66b2",
            "FastAPIInstrumentor.instrument_app",
            "requests are sampled before upstream's middleware begins its work",
        ),
        Patch(
            "fastapi-arguments",
            "opentelemetry-instrumentation-fastapi",
            "0.63b0 to 0.66b2",
            "FastAPIInstrumentor.instrument_app",
            "an application that instruments itself has its own arguments",
        ),
        Patch(
            "fastapi-telemetry",
            "fastapi",
            "0.142 to 0.165",
            "fastapi.FastAPI.__call__",
            "requests are sampled before FastAPI's own telemetry begins a span",
        ),
        Patch(
            "first-thread",
            "CPython",
            "3.10 to 3.14",
            "threading.Thread.start, until the main thread has called it",
            "SIGTERM loses no span where only threads have any",
        ),
        Patch(
            "header-decoding",
            "opentelemetry-instrumentation-asgi",
            "0.63b0 to 0.66b2",
            "opentelemetry.instrumentation.asgi._decode_header_item",
            "header bytes that upstream does not survive fail no request",
        ),
        Patch(
            "http-clients",
            "opentelemetry-instrumentation-requests, -urllib, -urllib3, -aiohttp-client",
            "0.66b1",
            "is_http_instrumentation_enabled of each",
            "calls below an unsampled request carry its trace context on",
        ),
        Patch(
            "httpx",
            "httpx",
            "0.28",
            "HTTPTransport.handle_request, AsyncHTTPTransport.handle_async_request",
            "calls below an unsampled request carry its trace context on",
        ),
        Patch(
            "httpx-client",
            "httpx",
            "0.28",
            "httpx._main, until somebody calls it",
            "importing httpx imports no command-line client, which no service runs",
        ),
        Patch(
            "logging",
            "CPython",
            "3.10 to 3.14",
            "logging.Logger.handle, Handler.format, StreamHandler.emit",
            "each line has the ids of its request, and is one line of JSON",
        ),
        Patch(
            "loguru",
            "loguru",
            "0.6.0 to 0.7.3",
            "loguru._handler.Handler.emit, and write of its sinks",
            "each line has the ids of its request",
        ),
        Patch(
            "meter-provider",
            "opentelemetry-api",
            "1.42.0 to 1.45.2",
            "opentelemetry.metrics._internal._set_meter_provider",
            "metrics of the application's own count every request",
        ),
        Patch(
            "raise-signal",
            "CPython",
            "3.10 to 3.14",
            "signal.raise_signal",
            "a server that raises the signal again that it has handled loses no span",
        ),
        Patch(
            "redirects",
            "requests, urllib3, aiohttp, CPython's urllib",
            "2.34, 2.8, 3.14, 3.10 to 3.14",
            "Session.send, HTTPConnectionPool.urlopen, OpenerDirector.open, create_trace_config of the instrumentation",
            "nothing of a trace follows a redirect to a host on the excluded list",
        ),
        Patch(
            "redis-scripts",
            "opentelemetry-instrumentation-redis",
            "0.66b2",
            "_traced_execute_factory, _async_traced_execute_factory",
            "a Lua script that the server has not seen yet is no error",
        ),
        Patch(
            "sigterm",
            "CPython",
            "3.10 to 3.14",
            "signal.getsignal, signal.signal",
            "the application sees SIGTERM's default action where the handler that flushes stands",
        ),
        Patch(
            "starlette",
            "opentelemetry-instrumentation-starlette",
            "0.66b1",
            "Starlette.build_middleware_stack",
            "requests are sampled before upstream's middleware begins its work",
        ),
        Patch(
            "structlog",
            "structlog",
            "24.1 to 26.1",
            "the processors, and the loggers that print",
            "each line has the ids of its request",
        ),
        Patch(
            "tracer-provider",
            "opentelemetry-api",
            "1.42.0 to 1.45.2",
            "opentelemetry.trace._set_tracer_provider",
            "an application's own exporters get what is recorded",
        ),
        Patch(
            "url-redaction",
            "opentelemetry-util-http",
            "0.63b0 to 0.66b2",
            "opentelemetry.util.http.redact_query_parameters",
            "secrets in URLs are redacted at once, and a long query costs little",
        ),
    )
}
