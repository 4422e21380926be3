"""The sampling middleware: on top of an application's middleware stack, above the official instrumentation.

`FastAPIInstrumentor.instrument_app` replaces `app.build_middleware_stack`; here it is replaced once more, by one that
puts a `SamplingMiddleware` on top of what upstream has built. An unsampled request bypasses upstream's middleware and
goes straight to the application's own. A mounted application's does nothing: its requests have been decided about.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from opentelemetry.instrumentation.propagators import get_global_response_propagator

from tracebaton_configurator.asgi.sampled import Recorder
from tracebaton_configurator.asgi.span_attributes import Details
from tracebaton_configurator.asgi.unsampled import pass_unsampled, pass_untraced
from tracebaton_configurator.asgi.upstream_asgi import OpenTelemetryMiddleware
from tracebaton_configurator.logs.diagnostics import report_error
from tracebaton_configurator.logs.upstream import NAMES_OF_API, RUNTIME, follow_runtime, followed, get_current
from tracebaton_configurator.patching.registry import apply
from tracebaton_configurator.redaction.upstream import install_for_asgi
from tracebaton_configurator.sampling.upstream import CURRENT_SPAN, SUPPRESS_INSTRUMENTATION

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from tracebaton_configurator.asgi.fast_path import FastPath
    from tracebaton_configurator.sampling.decision import RequestDecision
    from tracebaton_configurator.sampling.late_spans import LateSpans

    Message = MutableMapping[str, Any]
    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    App = Callable[[Scope, Receive, Send], Awaitable[None]]

# Set in the scope of a request that has been decided about, so that a mounted application does not decide once more.
PASSED = "tracebaton.recorded"


class SamplingMiddleware:
    """An ASGI application.

    `app` is the stack that upstream built, by the name under which middleware is looked for; `inner` is what a request
    that is not recorded is given to; `recorder` serves the others, where it can.
    """

    def __init__(
        self,
        app: App,
        inner: App,
        middleware: Any,
        details: Details,
        recorder: Recorder | None,
        asgi: Shared,
    ) -> None:
        self.app = app
        self._inner = inner
        self._fast_path = asgi.fast_path
        self._late_spans = asgi.late_spans
        # Without a pattern there is nothing to ask, which upstream finds out for each request.
        excluded = middleware.excluded_urls
        self._excluded = excluded if getattr(excluded, "_excluded_urls", excluded) else None
        self._details = details
        self._recorder = recorder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope.get("type")
        if kind not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        if PASSED in scope:  # a mounted application; where metrics are exported, upstream counts it, too
            await (self.app if self._fast_path.bypassed else self._inner)(scope, receive, send)
            return
        if NAMES_OF_API.get(RUNTIME) is not followed[0]:
            follow_runtime()
        current = get_current()
        if current.get(CURRENT_SPAN) is not None or current.get(SUPPRESS_INSTRUMENTATION):
            await self.app(scope, receive, send)  # a request made within another's span: upstream's INTERNAL one
            return
        if self._fast_path.off:
            if self._fast_path.bypassed:  # upstream counts it, and the sampler knows that nothing is recorded
                await self.app(scope, receive, send)
                return
            scope[PASSED] = False
            scope["fastapi.telemetry"] = None
            await pass_untraced(self._inner, scope, receive, send, self._fast_path.while_off)
            return
        decision = self._fast_path.begin(scope, self._is_excluded if self._excluded else None)
        if decision is None:
            await pass_untraced(self._inner, scope, receive, send)
            return
        scope[PASSED] = decision.recorded
        try:
            # A WebSocket is in none of upstream's metrics.
            counted = self._fast_path.bypassed and (kind == "http" or self._recorder is None)
            if counted and not decision.excluded and _is_utf8(scope.get("query_string", b"")):
                await self._record_by_upstream(scope, receive, send, decision)
            elif not decision.recorded:
                # As FastAPI's own `exclude` does: for an application below that upstream has not instrumented.
                scope["fastapi.telemetry"] = None
                await pass_unsampled(
                    self._inner, scope, receive, send, decision, self._fast_path, self._late_spans, self._details
                )
            elif self._recorder is not None and get_global_response_propagator() is None:
                await self._recorder(scope, receive, send, decision)
            elif _is_utf8(scope.get("query_string", b"")):
                await self._record_by_upstream(scope, receive, send, decision)
            else:  # upstream's middleware would fail the request
                await pass_unsampled(
                    self._inner, scope, receive, send, decision, self._fast_path, self._late_spans, self._details
                )
        finally:
            if decision.learn:
                self._fast_path.learn(decision, scope)

    async def _record_by_upstream(self, scope: Scope, receive: Receive, send: Send, decision: RequestDecision) -> None:
        from tracebaton_configurator.asgi.upstream_path import record_by  # few processes have such requests

        await record_by(self.app, scope, receive, send, decision, self._fast_path)

    def _is_excluded(self, scope: Scope) -> bool:
        """As `OpenTelemetryMiddleware.__call__` finds out."""
        from opentelemetry.instrumentation.asgi import get_host_port_url_tuple

        return self._excluded is not None and bool(self._excluded.url_disabled(get_host_port_url_tuple(scope)[2]))


def _is_utf8(text: Any) -> bool:
    try:
        text.decode()
    except (AttributeError, ValueError):
        return False
    return True


class Shared(Protocol):
    """What the middlewares of a process share: see `asgi.instrumentation`."""

    fast_path: FastPath
    late_spans: LateSpans


def add_sampling_middleware(app: Any, asgi: Shared) -> None:
    """Let the stack that the FastAPI application `app` is going to build have the sampling middleware on top."""
    apply("asgi-redaction", install_for_asgi)
    build = app.build_middleware_stack

    def build_with_sampling() -> App:
        asgi.fast_path.serve()
        stack: App = build()
        middleware = getattr(stack, "app", None)
        # Upstream puts its middleware right below one that handles its own errors. Anything else is not known here.
        if type(middleware) is not OpenTelemetryMiddleware:
            return stack
        return put_on_top(app, stack, middleware, asgi)

    app.build_middleware_stack = build_with_sampling
    _turn_off_fastapi_telemetry(app)


def put_on_top(app: Any, stack: App, middleware: Any, asgi: Shared) -> App:
    """What stands above upstream's `middleware`, whose application is the whole of `app`; `stack` where that fails."""
    try:
        details = Details(app, middleware)
        recorder = Recorder.of(middleware, details)
        sampling = SamplingMiddleware(stack, middleware.app, middleware, details, recorder, asgi)
        middleware.default_span_details = details.name_and_route
    except Exception as error:  # noqa: BLE001 (an application is served, whatever comes of instrumenting it)
        report_error("The sampling middleware does not fit an application, upstream's serves it", error)
        return stack
    return sampling


def _turn_off_fastapi_telemetry(app: Any) -> None:
    """Tell FastAPI's native telemetry (0.142 and later) once what it finds out for each request: that it is not needed.

    It looks through the middleware for upstream's, and then traces, measures and logs nothing. Checked with FastAPI
    0.142 to 0.165 (fastapi/telemetry/_asgi.py, `legacy_otel`); where the attribute is missing, it goes on looking.
    """
    config = getattr(app, "_telemetry", None)
    if isinstance(config, dict) and {"tracing", "metrics", "logs"} <= config.keys():
        config.update(tracing=False, metrics=False, logs=False)
