"""HTTP clients below a request that is not recorded: no span, but the trace goes on to the next service.

Suppressed altogether they would send no `traceparent`, and the next service would begin a trace of its own.

* httpx: the transports that upstream wraps are wrapped once more; below such a request the headers are set, and
  upstream's wrapper is passed by. Checked with opentelemetry-instrumentation-httpx 0.63b0 to 0.66b2.
* requests, urllib, urllib3, aiohttp-client: not suppressed; they make a span that is not recorded and send its
  context. Each asks `is_http_instrumentation_enabled` (or `is_instrumentation_enabled`) of its own module, which is
  replaced there. Checked with 0.66b1.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from opentelemetry import context as context_api
from opentelemetry import propagate

from tracebaton_configurator.gate.upstream import UNRECORDED

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_MODULES = {
    "requests": "opentelemetry.instrumentation.requests",
    "urllib": "opentelemetry.instrumentation.urllib",
    "urllib3": "opentelemetry.instrumentation.urllib3",
    "aiohttp-client": "opentelemetry.instrumentation.aiohttp_client",
}


def hand_on_through(name: str) -> None:
    """Let the client library that the instrumentation `name` is for hand unrecorded traces on."""
    if name == "httpx":
        _hand_on_through_httpx()
        return
    module = import_module(_MODULES[name])
    for asked in ("is_http_instrumentation_enabled", "is_instrumentation_enabled"):
        original = getattr(module, asked, None)
        if original is not None:
            setattr(module, asked, _or_unrecorded(original))


def _or_unrecorded(enabled: Callable[[], bool]) -> Callable[[], bool]:
    def is_enabled() -> bool:
        return enabled() or bool(context_api.get_value(UNRECORDED))

    return is_enabled


def _hand_on_through_httpx() -> None:
    from wrapt import wrap_function_wrapper

    # wrapt, as upstream does, so that upstream can still find and undo its own wrapper.
    wrap_function_wrapper("httpx", "HTTPTransport.handle_request", _handle)
    wrap_function_wrapper("httpx", "AsyncHTTPTransport.handle_async_request", _handle)


def _handle(wrapped: Callable[..., Any], _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any | Awaitable[Any]:
    """Serves both transports: what the wrapped method returns, awaitable or not, is handed through."""
    if context_api.get_current().get(UNRECORDED) is None:
        return wrapped(*args, **kwargs)
    request = args[0] if args else kwargs.get("request")
    headers = getattr(request, "headers", None)
    if headers is not None:
        propagate.inject(headers)
    # `wrapped` is upstream's wrapper, bound; what it wraps is httpx's own method.
    own = getattr(wrapped, "__wrapped__", None)
    return wrapped(*args, **kwargs) if own is None else own(*args, **kwargs)
