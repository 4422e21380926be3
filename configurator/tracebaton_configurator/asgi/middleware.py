"""The gate on top of an application's middleware stack, above the official instrumentation.

`FastAPIInstrumentor.instrument_app` replaces `app.build_middleware_stack`; here it is replaced once more, by one that
puts a `Gate` on top of what upstream has built. A request that will not be recorded goes past upstream's middleware,
straight to the application's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from opentelemetry import context as context_api
from opentelemetry.instrumentation.propagators import get_global_response_propagator

from tracebaton_configurator.asgi.sampled import Recorder
from tracebaton_configurator.asgi.span_attributes import Details
from tracebaton_configurator.asgi.unsampled import pass_unrecorded, pass_untraced
from tracebaton_configurator.asgi.upstream import CURRENT_SPAN, SUPPRESS_INSTRUMENTATION
from tracebaton_configurator.asgi.upstream_asgi import OpenTelemetryMiddleware
from tracebaton_configurator.asgi.upstream_path import record_by
from tracebaton_configurator.patching.registry import apply
from tracebaton_configurator.redaction.upstream import install_for_asgi

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from tracebaton_configurator.asgi.fast_path import Engine
    from tracebaton_configurator.asgi.late_spans import Keeper

    Message = MutableMapping[str, Any]
    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    App = Callable[[Scope, Receive, Send], Awaitable[None]]

# Set in the scope of a request that has passed the gate, so that a mounted application does not decide once more.
PASSED = "tracebaton.recorded"


class Gate:
    """An ASGI application.

    `app` is the stack that upstream built, by the name under which middleware is looked for; `inner` is what a request
    that is not recorded is given to; `recorder` serves the others, where it can.
    """

    def __init__(
        self, app: App, inner: App, middleware: Any, details: Details, recorder: Recorder | None, session: Session
    ) -> None:
        self.app = app
        self._inner = inner
        self._engine = session.engine
        self._keeper = session.keeper
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
        recorded = scope.get(PASSED)
        current = context_api.get_current()
        if recorded is not None or current.get(CURRENT_SPAN) is not None or current.get(SUPPRESS_INSTRUMENTATION):
            # A mounted application, or a request made within another's span: upstream's INTERNAL span, or nothing.
            await (self.app if recorded is not False else self._inner)(scope, receive, send)
            return
        if self._engine.off:
            if self._engine.aside:  # upstream counts it, and the sampler knows that nothing is recorded
                await self.app(scope, receive, send)
                return
            scope[PASSED] = False
            scope["fastapi.telemetry"] = None
            await pass_untraced(self._inner, scope, receive, send)
            return
        start = self._engine.begin(scope, self._is_excluded if self._excluded else None)
        if start is None:
            await pass_untraced(self._inner, scope, receive, send)
            return
        scope[PASSED] = start.recorded
        try:
            if self._engine.aside and not start.excluded and _is_utf8(scope.get("query_string", b"")):
                await record_by(self.app, scope, receive, send, start, self._engine)
            elif not start.recorded:
                # As FastAPI's own `exclude` does: for an application below that upstream has not instrumented.
                scope["fastapi.telemetry"] = None
                await pass_unrecorded(
                    self._inner, scope, receive, send, start, self._engine, self._keeper, self._details
                )
            elif kind == "http" and self._recorder is not None and get_global_response_propagator() is None:
                await self._recorder(scope, receive, send, start)
            elif _is_utf8(scope.get("query_string", b"")):
                await record_by(self.app, scope, receive, send, start, self._engine)
            else:  # upstream's middleware would fail the request
                await pass_unrecorded(
                    self._inner, scope, receive, send, start, self._engine, self._keeper, self._details
                )
        finally:
            self._engine.learn(start, scope)

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


class Session(Protocol):
    """What the gates of a process share: see `gate.session.Session`."""

    engine: Engine
    keeper: Keeper


def put_gate_on(app: Any, session: Session) -> None:
    """Let the stack that the FastAPI application `app` is going to build have a gate on top."""
    apply("asgi-redaction", install_for_asgi)
    build = app.build_middleware_stack

    def build_with_gate() -> App:
        session.engine.serve()
        stack: App = build()
        middleware = getattr(stack, "app", None)
        # Upstream puts its middleware right below one that handles its own errors. Anything else is not known here.
        if type(middleware) is not OpenTelemetryMiddleware:
            return stack
        details = Details(app, middleware)
        return Gate(stack, middleware.app, middleware, details, Recorder.of(middleware, details), session)

    app.build_middleware_stack = build_with_gate
    _settle_native_telemetry(app)


def put_gate_on_starlette(session: Session, *, event_spans: bool) -> None:
    """Let every Starlette application that is not FastAPI's have a gate on top of the stack that it builds.

    `StarletteInstrumentor` adds upstream's middleware as one of the application's own, somewhere in the stack, and
    gives it no way to leave the spans for ASGI events out. Checked with opentelemetry-instrumentation-starlette 0.66b1.
    """
    from starlette.applications import Starlette

    apply("asgi-redaction", install_for_asgi)
    build = Starlette.build_middleware_stack

    def build_with_gate(self: Any) -> App:
        session.engine.serve()
        stack: App = build(self)
        middleware: Any = stack
        while middleware is not None and type(middleware) is not OpenTelemetryMiddleware:
            middleware = getattr(middleware, "app", None)
        if middleware is None:
            return stack
        if not event_spans:
            middleware.exclude_receive_span = middleware.exclude_send_span = True
        # The stack is the application's own: told to stand still, upstream's middleware passes a request on.
        return Gate(stack, stack, middleware, Details(self, middleware), None, session)

    Starlette.build_middleware_stack = build_with_gate  # type: ignore[method-assign]


def _settle_native_telemetry(app: Any) -> None:
    """Tell FastAPI's native telemetry (0.142 and later) once what it finds out for each request: that it is not needed.

    It looks through the middleware for upstream's, and then traces, measures and logs nothing. Checked with FastAPI
    0.142 to 0.165 (fastapi/telemetry/_asgi.py, `legacy_otel`); where the attribute is missing, it goes on looking.
    """
    config = getattr(app, "_telemetry", None)
    if isinstance(config, dict) and {"tracing", "metrics", "logs"} <= config.keys():
        config.update(tracing=False, metrics=False, logs=False)
