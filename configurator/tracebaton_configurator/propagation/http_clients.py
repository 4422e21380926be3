"""HTTP clients below a request that is not recorded: no span, but a note whose ids go on to the next service.

Suppressed altogether they would send no `traceparent`, and the next service would begin a trace of its own.

* httpx: the transports that upstream is going to wrap are wrapped before; below such a request upstream's wrapper does
  nothing and calls this one, which makes the note and sets the headers. Checked with
  opentelemetry-instrumentation-httpx 0.63b0 to 0.66b2.
* requests, urllib, urllib3, aiohttp-client: not suppressed; the span that they make is a note, or has the ids of the
  request. Each asks `is_http_instrumentation_enabled` (or `is_instrumentation_enabled`) of its own module, which is
  replaced there. Checked with 0.66b1.
"""

from __future__ import annotations

import sys
from functools import partial, wraps
from importlib import import_module
from typing import TYPE_CHECKING, Any

from opentelemetry import propagate, trace
from opentelemetry.propagators.textmap import default_setter
from opentelemetry.trace import get_current_span, set_span_in_context

from tracebaton_configurator.logs.diagnostics import report_error
from tracebaton_configurator.logs.upstream import get_current
from tracebaton_configurator.patching.around import Around
from tracebaton_configurator.patching.registry import apply, later, put
from tracebaton_configurator.propagation.redirects import HOPS, forget_after_redirect, watch_aiohttp, watch_hops
from tracebaton_configurator.propagation.w3c.propagator import CallersPropagator
from tracebaton_configurator.redaction.upstream import install_for_urls
from tracebaton_configurator.sampling.decision import hands_on_unsampled
from tracebaton_configurator.sampling.late_spans import begin_call, end_call

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context
    from opentelemetry.propagators.textmap import Setter
    from opentelemetry.trace import Span, Tracer

    from tracebaton_configurator.sampling.call_notes import CallNote

# Entry points of upstream's, each named like the module that it is for.
_HTTPX = ("httpx", "httpx2")
_BODIES = "tracebaton_configurator.propagation.bodies"
_SCOPE = "opentelemetry.instrumentation.httpx"
_METHODS = frozenset(("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"))
_MODULES = {
    "requests": "opentelemetry.instrumentation.requests",
    "urllib": "opentelemetry.instrumentation.urllib",
    "urllib3": "opentelemetry.instrumentation.urllib3",
    "aiohttp-client": "opentelemetry.instrumentation.aiohttp_client",
}

# The URLs to which upstream sends no headers either (OTEL_PYTHON_HTTPX_EXCLUDED_URLS).
_left_alone: Any = None
_tracer: Tracer | None = None
_setter: Setter[Any] = default_setter


def around() -> dict[str, Around]:
    """For the instrumentations of HTTP clients, which then hand unsampled traces on."""
    names = dict.fromkeys((*_HTTPX, *_MODULES))
    return {name: Around(partial(_before, name), partial(_after, name) if name in _MODULES else None) for name in names}


def _before(name: str) -> None:
    apply("url-redaction", install_for_urls)
    if name in _HTTPX:
        apply("httpx", lambda: _hand_on_through_httpx(name))
        if apply("httpx-attributes", later("propagation.upstream_httpx_calls", "remember_calls")):
            _use_quick_setter()
    elif name in HOPS:
        apply("redirects", lambda: watch_hops(name))


def _use_quick_setter() -> None:
    global _setter  # noqa: PLW0603 (it is httpx's, which most processes import, and not all)
    from tracebaton_configurator.propagation.upstream_httpx_calls import HEADERS

    _setter = HEADERS


def _after(name: str) -> None:
    module = import_module(_MODULES[name])
    if name == "aiohttp-client":
        apply("redirects", lambda: watch_aiohttp(module))
    apply("http-clients", lambda: _stay_enabled(module))


def _stay_enabled(module: Any) -> bool:
    """False where none of the functions is there."""
    found = False
    for asked in ("is_http_instrumentation_enabled", "is_instrumentation_enabled"):
        original = getattr(module, asked, None)
        if original is not None:
            put(module, asked, _or_unsampled(original))
            found = True
    return found


def _or_unsampled(enabled: Callable[[], bool]) -> Callable[[], bool]:
    def is_enabled() -> bool:
        return enabled() or hands_on_unsampled(get_current())

    return is_enabled


def _hand_on_through_httpx(name: str) -> None:
    from opentelemetry.util.http import get_excluded_urls

    global _left_alone  # noqa: PLW0603 (what upstream was told of this process's clients)
    excluded = get_excluded_urls("HTTPX")
    # Without any, the text of no URL needs to be put together.
    _left_alone = excluded if getattr(excluded, "_excluded_urls", True) else None
    module = import_module(name)
    _put_below(module.HTTPTransport, "handle_request", _handling)
    _put_below(module.AsyncHTTPTransport, "handle_async_request", _handling_async)


def _put_below(transport: Any, name: str, made: Callable[..., Any]) -> None:
    """Below upstream's wrapper; a plain function, as upstream takes whatever wrapt has wrapped for its own."""
    original = getattr(transport, name)

    def is_instrumented(instance: Any) -> bool:
        """Whether upstream's wrapper is above this one, for all transports or for this one."""
        return getattr(transport, name) is not ours or name in vars(instance)

    ours = wraps(original)(made(original, is_instrumented))
    put(transport, name, ours)


def _handling(wrapped: Callable[..., Any], is_instrumented: Callable[[Any], bool]) -> Callable[..., Any]:
    def handle(self: Any, *args: Any, **kwargs: Any) -> Any:
        request, note = _prepared(self, is_instrumented, args, kwargs)
        try:
            response = wrapped(self, *args, **kwargs)
        except BaseException as error:
            if note is not None:
                _fail(note, error)
            raise
        if request is not None:
            _answered(request, response, note)
        return response

    return handle


def _handling_async(wrapped: Callable[..., Any], is_instrumented: Callable[[Any], bool]) -> Callable[..., Any]:
    async def handle(self: Any, *args: Any, **kwargs: Any) -> Any:
        request, note = _prepared(self, is_instrumented, args, kwargs)
        try:
            response = await wrapped(self, *args, **kwargs)
        except BaseException as error:
            if note is not None:
                _fail(note, error)
            raise
        if request is not None:
            _answered(request, response, note)
        return response

    return handle


def _prepared(
    transport: Any, is_instrumented: Callable[[Any], bool], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Any, CallNote | None]:
    """The request, with headers where upstream injects none because it is not recorded, and the note of such a call.

    No request for one that is left alone.
    """
    note = None
    try:
        request = args[0] if args else kwargs.get("request")
        headers = getattr(request, "headers", None)
        if (
            request is None
            or headers is None
            or (_left_alone is not None and _left_alone.url_disabled(str(request.url)))
        ):
            return None, None
        context = get_current()
        if hands_on_unsampled(context) and is_instrumented(transport):
            note = _begin(request, context)
            textmap = propagate.get_global_textmap()
            if note is not None and isinstance(textmap, CallersPropagator):
                textmap.inject_call(note, headers, context, _setter)
            else:
                textmap.inject(headers, context if note is None else set_span_in_context(note, context), _setter)
    except Exception as error:  # noqa: BLE001 (the application's request is sent as it is)
        report_error("Trace headers could not be added to an httpx request", error)
        return None, note
    return request, note


def _begin(request: Any, context: Context) -> CallNote | None:
    global _tracer  # noqa: PLW0603 (got when there is a call, as those of instrumentations)
    if _tracer is None:
        from opentelemetry.instrumentation.httpx.version import __version__

        _tracer = trace.get_tracer(_SCOPE, __version__)
    method = request.method
    note = begin_call(_tracer, method if method in _METHODS else "HTTP", context=context)
    if note is not None:
        note.complete = partial(_complete, method, request.url)
    return note


def _fail(note: CallNote, error: BaseException) -> None:
    complete: Any = note.complete
    if isinstance(error, Exception) and complete is not None:
        note.complete = partial(complete, error=type(error).__qualname__)
    end_call(note, error, is_typed=False)


def _complete(method: str, url: Any, span: Span, note: CallNote, *, error: str = "") -> None:
    """What upstream says of a call."""
    from tracebaton_configurator.propagation.upstream_httpx import set_call

    module = sys.modules[type(url).__module__.partition(".")[0]]
    set_call(span, module, method, url, note.answer, note.version.decode("ascii", "ignore"), error)


def _answered(request: Any, response: Any, note: CallNote | None) -> None:
    if note is None:
        span = get_current_span()
        # Upstream's own, which is about to end it; not one of a client above, below which upstream does nothing.
        if span.is_recording() and getattr(getattr(span, "instrumentation_scope", None), "name", "") == _SCOPE:
            _watch(response, span)
        forget_after_redirect(request, response)
        return
    try:
        note.answer = int(response.status_code)
        note.version = response.extensions.get("http_version", b"HTTP/1.1")
    except Exception as error:  # noqa: BLE001 (the application has its answer)
        report_error("An answer could not be noted", error)
    if not _watch(response, note, held=False):
        note.end()
    if 300 <= note.answer < 400:
        forget_after_redirect(request, response, set_span_in_context(note))


def _watch(response: Any, span: Span, *, held: bool = True) -> bool:
    """Replaced by itself with the first answer: a process that calls nobody needs none of it."""
    global _watch  # noqa: PLW0603 (see above)
    from tracebaton_configurator.propagation.bodies import watch_httpx

    _watch = watch_httpx
    return watch_httpx(response, span, held=held)


def hold_signal(holder: object) -> None:
    """`holder` has something to lose when SIGTERM comes. Replaced by who knows of that."""


def let_go_of_signal(holder: object) -> None:
    """It has not any more."""


def is_reading() -> bool:
    """Whether the body of an answer is still open."""
    bodies: Any = sys.modules.get(_BODIES)
    return bodies is not None and bool(bodies.any_open())


def end_bodies() -> None:
    """For the end of the process: the calls whose answers are still open end with their last byte."""
    bodies: Any = sys.modules.get(_BODIES)
    if bodies is not None:
        bodies.end_all()
