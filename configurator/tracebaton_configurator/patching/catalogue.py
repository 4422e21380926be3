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
            "anthropic-spans",
            "anthropic",
            "2.14",
            "anthropic._base_client.start_api_call_span",
            "within a span of the same call its own is not made, so that tokens count once",
        ),
        Patch(
            "asgi-redaction",
            "opentelemetry-instrumentation-asgi",
            "0.63b0 to 0.66b2",
            "opentelemetry.instrumentation.asgi.collect_request_attributes",
            "secrets in a request's query are redacted before upstream decodes it",
        ),
        Patch(
            "asyncio",
            "CPython",
            "3.10 to 3.14",
            "asyncio.BaseEventLoop.call_exception_handler",
            "what asyncio says of a task or a callback has the ids of that",
        ),
        Patch(
            "children",
            "CPython",
            "3.10 to 3.14",
            "subprocess.Popen.__init__",
            "OTEL_TRACEBATON_CHILDREN=false: programs that the application runs start without the launcher",
        ),
        Patch(
            "daphne",
            "daphne",
            "4.1 to 4.2",
            "daphne.access.AccessLogGenerator.write_entry",
            "each line of the access log has the ids of its request, and is one line of JSON",
        ),
        Patch(
            "eliot",
            "eliot",
            "1.18",
            "eliot._output.Destinations.send",
            "each message has the ids of its request",
        ),
        Patch(
            "excepthook",
            "CPython",
            "3.10 to 3.14",
            "sys.excepthook; showtraceback and showsyntaxerror of code.InteractiveInterpreter",
            "the exception that ends the process is one line of JSON",
        ),
        Patch(
            "executors",
            "CPython",
            "3.10 to 3.14",
            "__init__ and run of concurrent.futures.thread._WorkItem",
            "what a request gives to an executor has its context, until it is done",
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
            "fastapi-class",
            "fastapi",
            "0.115 to 0.165",
            "fastapi.FastAPI.__init__",
            "an application is instrumented whichever way its class was imported",
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
            "genai-spans",
            "opentelemetry-util-genai",
            "1.3b0",
            "inference and embedding of opentelemetry.util.genai.handler.TelemetryHandler",
            "within a span that a library made of the same call none is made, so that tokens count once",
        ),
        Patch(
            "granian-context",
            "granian",
            "2.0 to 2.8",
            "granian.asgi._callback_wrapper, by the names it has in granian.server.mp, .mt and .embed",
            "a request begins in a clean OpenTelemetry context",
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
            "httpx-transports",
            "httpx",
            "0.28",
            "Client._send_single_request, AsyncClient._send_single_request",
            "calls through transports of the application's own carry the trace",
        ),
        Patch(
            "hypercorn-context",
            "hypercorn",
            "0.17 to 0.18",
            "hypercorn.app_wrappers.ASGIWrapper.__init__",
            "a request begins in a clean OpenTelemetry context",
        ),
        Patch(
            "log-export",
            "CPython",
            "3.10 to 3.14",
            "logging.basicConfig, logging.config.dictConfig, logging.config.fileConfig",
            "OTEL_LOGS_EXPORTER: the handler that exports keeps nobody from configuring logging, and stays",
        ),
        Patch(
            "logbook",
            "logbook",
            "1.10",
            "nothing: a processor is pushed for the application",
            "each record has the ids of its request among its extras",
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
            "other-clients",
            "requests, urllib3, aiohttp, CPython's urllib",
            "2.32 to 2.34, 2.0 to 2.8, 3.10 to 3.14, 3.10 to 3.14",
            "Session.send, HTTPConnectionPool.urlopen, aiohttp.ClientSession.__init__, OpenerDirector.open",
            "calls carry the trace where OpenTelemetry's instrumentation of the client is not installed",
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
            "rich",
            "rich",
            "13.0 to 15.0",
            "rich.logging.RichHandler.emit",
            "each line is one line of JSON",
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
            "starlette",
            "0.41 to 1.10",
            "Starlette.__init__, Starlette.build_middleware_stack",
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
            "thread-excepthook",
            "CPython",
            "3.10 to 3.14",
            "threading.excepthook",
            "an exception that ends a thread is one line of JSON, with the ids of its request",
        ),
        Patch(
            "threads",
            "CPython",
            "3.10 to 3.14",
            "threading.Thread.start",
            "a thread that a request starts has its context, and one of a library's has none",
        ),
        Patch(
            "tracer-provider",
            "opentelemetry-api",
            "1.42.0 to 1.45.2",
            "opentelemetry.trace._set_tracer_provider",
            "an application's own exporters get what is recorded",
        ),
        Patch(
            "unraisablehook",
            "CPython",
            "3.10 to 3.14",
            "sys.unraisablehook",
            "an exception that nobody can catch is one line of JSON",
        ),
        Patch(
            "url-redaction",
            "opentelemetry-util-http",
            "0.63b0 to 0.66b2",
            "opentelemetry.util.http.redact_query_parameters",
            "secrets in URLs are redacted at once, and a long query costs little",
        ),
        Patch(
            "uvicorn-context",
            "uvicorn",
            "0.34 to 0.54",
            "uvicorn.server.Server.startup",
            "a request begins in a clean OpenTelemetry context",
        ),
        Patch(
            "uvloop",
            "uvloop",
            "0.19 to 0.23",
            "uvloop.Loop.call_exception_handler",
            "what uvloop says of a task or a callback has the ids of that",
        ),
        Patch(
            "warnings",
            "CPython",
            "3.10 to 3.14",
            "warnings._showwarnmsg",
            "a warning is one line of JSON, with the ids of its request",
        ),
        Patch(
            "websockets",
            "websockets",
            "13 to 16",
            "websockets.client.ClientProtocol.send_request",
            "the handshake carries the trace",
        ),
    )
}
