"""The gate on top of a FastAPI application's middleware stack, above the official instrumentation.

`FastAPIInstrumentor.instrument_app` replaces `app.build_middleware_stack`; here it is replaced once more, by one that
puts a `Gate` on top of what upstream has built. A request that will not be recorded goes past upstream's middleware,
straight to the application's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry import context as context_api
from opentelemetry.context import Context
from opentelemetry.instrumentation.propagators import get_global_response_propagator

from tracebaton_configurator.gate.details import Details
from tracebaton_configurator.gate.recorded import Recorder
from tracebaton_configurator.gate.unrecorded import pass_unrecorded
from tracebaton_configurator.gate.upstream import (
    CURRENT_SPAN,
    SUPPRESS_INSTRUMENTATION,
    OpenTelemetryMiddleware,
)
from tracebaton_configurator.logs.ids import remember_ids
from tracebaton_configurator.sampling.sampler import DECIDED, Decided

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from tracebaton_configurator.gate.engine import Engine, Start
    from tracebaton_configurator.gate.keep import Keeper

    Message = MutableMapping[str, Any]
    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    App = Callable[[Scope, Receive, Send], Awaitable[None]]

# Set in the scope of a request that has passed the gate, so that a mounted application does not decide once more.
PASSED = "tracebaton.recorded"


class Gate:
    """An ASGI application. `app` is the stack that upstream built, by the name under which middleware is looked for."""

    def __init__(self, app: App, middleware: Any, owner: Any, engine: Engine, keeper: Keeper) -> None:
        self.app = app
        self._inner: App = middleware.app
        self._engine = engine
        self._keeper = keeper
        # Without a pattern there is nothing to ask, which upstream finds out for each request.
        excluded = middleware.excluded_urls
        self._excluded = excluded if getattr(excluded, "_excluded_urls", excluded) else None
        self._details = Details(owner, middleware)
        self._recorder = Recorder.of(middleware, self._details)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        recorded = scope.get(PASSED)
        current = context_api.get_current()
        if recorded is not None or current.get(CURRENT_SPAN) is not None or current.get(SUPPRESS_INSTRUMENTATION):
            # A mounted application, or a request made within another's span: upstream's INTERNAL span, or nothing.
            await (self.app if recorded is not False else self._inner)(scope, receive, send)
            return
        # A WebSocket's handshake is a GET (RFC 6455, section 4.1).
        method = scope["method"] if kind == "http" else "GET"
        path = scope["path"]
        start = self._engine.start(scope, method)
        if self._excluded and _is_excluded(self._excluded, scope):
            start.recorded = False
        scope[PASSED] = start.recorded
        try:
            if not start.recorded:
                await pass_unrecorded(
                    self._inner, scope, receive, send, start, self._engine, self._keeper, self._details
                )
            elif kind == "http" and self._recorder is not None and get_global_response_propagator() is None:
                await self._recorder(scope, receive, send, start)
            elif _is_utf8(scope.get("query_string", b"")):
                await self._record_as_upstream(scope, receive, send, start)
            else:  # upstream's middleware would fail the request
                await pass_unrecorded(
                    self._inner, scope, receive, send, start, self._engine, self._keeper, self._details
                )
        finally:
            if start.learn:
                self._engine.roots.learn(method, path, scope)  # type: ignore[arg-type]

    async def _record_as_upstream(self, scope: Scope, receive: Receive, send: Send, start: Start) -> None:
        """Upstream's own middleware, which the sampler tells the decision that was made here."""
        context = Context({**start.base, DECIDED: Decided(start.trace_id, start.trace_state)})
        token = context_api.attach(context)
        try:
            await self.app(scope, receive, send)
        except Exception as raised:
            remember_ids(raised)
            raise
        finally:
            context_api.detach(token)


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except ValueError:
        return False
    return True


def _is_excluded(excluded: Any, scope: Scope) -> bool:
    """As `OpenTelemetryMiddleware.__call__` finds out."""
    from opentelemetry.instrumentation.asgi import get_host_port_url_tuple

    return bool(excluded.url_disabled(get_host_port_url_tuple(scope)[2]))


def put_gate_on(app: Any, engine: Engine, keeper: Keeper) -> None:
    """Let the stack that `app` is going to build have a gate on top."""
    build = app.build_middleware_stack

    def build_with_gate() -> App:
        stack: App = build()
        middleware = getattr(stack, "app", None)
        # Upstream puts its middleware right below one that handles its own errors. Anything else is not known here.
        if type(middleware) is not OpenTelemetryMiddleware:
            return stack
        return Gate(stack, middleware, app, engine, keeper)

    app.build_middleware_stack = build_with_gate
    _settle_native_telemetry(app)


def _settle_native_telemetry(app: Any) -> None:
    """Tell FastAPI's native telemetry (0.142 and later) once what it finds out for each request: that it is not needed.

    It looks through the middleware for upstream's, and then traces, measures and logs nothing. Checked with FastAPI
    0.142 to 0.165 (fastapi/telemetry/_asgi.py, `legacy_otel`); where the attribute is missing, it goes on looking.
    """
    config = getattr(app, "_telemetry", None)
    if isinstance(config, dict) and {"tracing", "metrics", "logs"} <= config.keys():
        config.update(tracing=False, metrics=False, logs=False)
