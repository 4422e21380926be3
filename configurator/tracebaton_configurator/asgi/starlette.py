"""Starlette applications that are not FastAPI's, whatever class they are of, have what FastAPI's have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.trace import get_current_span
from starlette.middleware.errors import ServerErrorMiddleware

from tracebaton_configurator.asgi.guard import note_error, or_uninstrumented
from tracebaton_configurator.asgi.middleware import put_on_top
from tracebaton_configurator.asgi.upstream_asgi import OpenTelemetryMiddleware
from tracebaton_configurator.asgi.upstream_starlette import instrument, original_class
from tracebaton_configurator.patching.registry import apply
from tracebaton_configurator.redaction.upstream import install_for_asgi

if TYPE_CHECKING:
    from tracebaton_configurator.asgi.middleware import App, Receive, Scope, Send, Shared


def add_to_starlette(asgi: Shared, *, event_spans: bool) -> None:
    """Patch Starlette's own class, for upstream's subclass only takes the place of a name.

    `StarletteInstrumentor` adds upstream's middleware as one of the application's own, somewhere in the stack, and
    gives it no way to leave the spans for ASGI events out. Here it stands on top of the stack. Checked with
    opentelemetry-instrumentation-starlette 0.63b0 to 0.66b1.
    """
    apply("asgi-redaction", install_for_asgi)
    starlette: Any = original_class()
    init, build = starlette.__init__, starlette.build_middleware_stack

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        init(self, *args, **kwargs)
        or_uninstrumented(instrument, self)

    def build_with_sampling(self: Any) -> App:
        asgi.fast_path.serve()
        middlewares = self.user_middleware
        upstreams = [one for one in middlewares if one.cls is OpenTelemetryMiddleware]
        if len(upstreams) != 1 or asgi.fast_path.is_of_others(upstreams[0].kwargs):
            stack: App = build(self)
            return stack
        self.user_middleware = [one for one in middlewares if one is not upstreams[0]]
        try:
            stack = build(self)
        finally:
            self.user_middleware = middlewares
        if isinstance(stack, ServerErrorMiddleware):
            stack.app = _NotesErrors(stack.app)
        options = upstreams[0].kwargs if event_spans else {**upstreams[0].kwargs, "exclude_spans": ["receive", "send"]}
        middleware = OpenTelemetryMiddleware(stack, **options)
        return put_on_top(self, middleware, middleware, asgi)

    starlette.__init__ = __init__
    starlette.build_middleware_stack = build_with_sampling


class _NotesErrors:
    """Upstream's FastAPI instrumentation has the same: above it, the error is answered and the span ends with that."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.app(scope, receive, send)
        except Exception as error:
            span = get_current_span()
            if span.is_recording():
                note_error(span, error)
            raise
