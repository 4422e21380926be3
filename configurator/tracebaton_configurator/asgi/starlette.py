"""Starlette applications that are not FastAPI's, whatever class they are of, have what FastAPI's have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.trace import get_current_span, get_tracer
from opentelemetry.util.http import get_excluded_urls
from starlette import applications
from starlette.middleware.errors import ServerErrorMiddleware

from tracebaton_configurator.asgi.guard import or_uninstrumented
from tracebaton_configurator.asgi.middleware import put_on_top
from tracebaton_configurator.asgi.upstream_asgi import OpenTelemetryMiddleware
from tracebaton_configurator.asgi.whole_route import whole_route
from tracebaton_configurator.logs.diagnostics import report_error
from tracebaton_configurator.patching.registry import apply
from tracebaton_configurator.redaction.upstream import install_for_asgi
from tracebaton_configurator.sampling.late_spans import is_failure, note_error

if TYPE_CHECKING:
    from tracebaton_configurator.asgi.middleware import App, Receive, Scope, Send, Shared


def add_to_starlette(asgi: Shared, *, event_spans: bool) -> None:
    """Patch Starlette's own class, for upstream's subclass only takes the place of a name.

    `StarletteInstrumentor` adds upstream's middleware as one of the application's own, somewhere in the stack, and
    gives it no way to leave the spans for ASGI events out. Here it stands on top of the stack. Checked with
    opentelemetry-instrumentation-starlette 0.63b0 to 0.66b1.
    """
    from tracebaton_configurator.asgi.upstream_starlette import instrument, original_class

    starlette = original_class()
    init = starlette.__init__

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        init(self, *args, **kwargs)
        or_uninstrumented(instrument, self)

    starlette.__init__ = __init__
    _patch_build(starlette, asgi, event_spans=event_spans)


def serve_starlette(asgi: Shared, *, event_spans: bool) -> None:
    """The same where upstream's instrumentation for Starlette is not installed."""
    by_default = {
        "excluded_urls": get_excluded_urls("STARLETTE"),
        "default_span_details": _name_and_route,
        "tracer": get_tracer("opentelemetry.instrumentation.asgi"),
    }
    _patch_build(applications.Starlette, asgi, event_spans=event_spans, by_default=by_default)


def _name_and_route(scope: Scope) -> tuple[str, dict[str, Any]]:
    route, method = whole_route(scope["app"], scope), scope.get("method", "")
    return f"{method} {route or ''}".strip(), {"http.route": route} if route else {}


def _patch_build(starlette: Any, asgi: Shared, *, event_spans: bool, by_default: dict[str, Any] | None = None) -> None:
    """Have upstream's middleware on top, with the options that it was added with, or those `by_default`."""
    apply("asgi-redaction", install_for_asgi)
    build = starlette.build_middleware_stack

    def build_with_sampling(self: Any) -> App:
        asgi.fast_path.serve()
        middlewares = self.user_middleware
        added = [one.kwargs for one in middlewares if one.cls is OpenTelemetryMiddleware]
        if not added and by_default is not None:
            added = [by_default]
        if len(added) != 1 or asgi.fast_path.is_of_others(added[0]):
            stack: App = build(self)
            return stack
        self.user_middleware = [one for one in middlewares if one.cls is not OpenTelemetryMiddleware]
        try:
            stack = build(self)
        finally:
            self.user_middleware = middlewares
        if isinstance(stack, ServerErrorMiddleware):
            stack.app = _NotesErrors(stack.app)
        more = {} if event_spans else {"exclude_spans": ["receive", "send"]}
        try:
            middleware = OpenTelemetryMiddleware(stack, **{**added[0], **more})
        except Exception as error:  # noqa: BLE001 (an application is served, whatever comes of instrumenting it)
            report_error("An application could not be instrumented and is served untraced", error)
            return stack
        return put_on_top(self, middleware, middleware, asgi)

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
            if span.is_recording() and is_failure(error):
                note_error(span, error)
            raise
