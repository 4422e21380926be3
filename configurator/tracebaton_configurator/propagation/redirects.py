"""What was injected for one host does not reach another that is to get nothing, because a client follows a redirect.

Clients copy the headers of the first request, and what the instrumentations put there is among them. The hosts that get
nothing are those of `OTEL_PYTHON_<CLIENT>_EXCLUDED_URLS`.

* httpx follows redirects above its transports: once such an answer has come, the request loses again what was
  injected, and the next one gets its own, unless it is excluded.
* requests, urllib and urllib3 follow them within the call that is instrumented: each hop to an excluded URL goes
  without what was injected further up in the same call.
* aiohttp announces a redirect before it follows it, and shows the headers that it will send. The span of a call then
  lasts until its answer has been read (`bodies`).

What the application itself has set is told apart by its value. `tests/configurator/asgi/test_redirects.py` notices.
Checked with httpx 0.28.1, requests 2.34.2, urllib3 2.8.0, aiohttp 3.14.5 and their instrumentations 0.66b1.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from opentelemetry import propagate
from opentelemetry.instrumentation.utils import suppress_http_instrumentation

from tracebaton_configurator.logs.diagnostics import report_error
from tracebaton_configurator.patching.registry import put

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context
    from opentelemetry.util.http import ExcludeList

    Pairs = frozenset[tuple[str, str]]

_FAILED = "Trace headers of a redirected request could not be looked at"
# What has been injected so far in the call under way, of which redirects are a part.
_handed_on: ContextVar[Pairs | None] = ContextVar("tracebaton-handed-on", default=None)


def injected(headers: Any, context: Context | None = None) -> Pairs:
    """Which of these headers are what is injected in `context`, by default the current one.

    Names in lower case, and values.
    """
    made: dict[str, str] = {}
    propagate.inject(made, context)
    wanted = {(name.lower(), value) for name, value in made.items()}
    return frozenset(pair for name, value in headers.items() if (pair := (name.lower(), value)) in wanted)


def take_out(headers: Any, pairs: Pairs) -> None:
    """Delete those that have such a name and such a value."""
    for name in [name for name, value in headers.items() if (name.lower(), value) in pairs]:
        del headers[name]


def forget_after_redirect(request: Any, response: Any, context: Context | None = None) -> None:
    """For httpx: to be called with the answer, and the context in which the request was made. Never raises."""
    try:
        if 300 <= response.status_code < 400 and "location" in response.headers:
            take_out(request.headers, injected(request.headers, context))
    except Exception as error:  # noqa: BLE001 (the application has its answer)
        report_error(_FAILED, error)


def watch_hops(name: str) -> None:
    """To be called before that of `requests`, `urllib` or `urllib3` is loaded, which then stands above it."""
    from opentelemetry.util.http import get_excluded_urls
    from wrapt import wrap_function_wrapper

    module, method, parts = HOPS[name]
    excluded = get_excluded_urls(name.upper())

    def hop(wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        before, headers = _handed_on.get(), None
        token = None if before is not None else _handed_on.set(frozenset())
        quiet: AbstractContextManager[None] = nullcontext()
        try:
            try:
                url, headers = parts(instance, args, kwargs)
                if excluded.url_disabled(url):
                    quiet = suppress_http_instrumentation()  # of the client below, urllib3 as a rule
                    if headers is not None:
                        take_out(headers, before or frozenset())  # of the client's own copy, which a hop is sent with
                elif headers is not None:
                    # Left there for the hops that follow, within the outermost call.
                    _handed_on.set((before or frozenset()) | injected(headers))
            except Exception as error:  # noqa: BLE001 (the call is made as it came)
                report_error(_FAILED, error)
            with quiet:
                response = wrapped(*args, **kwargs)
            if token is not None and getattr(response, "is_redirect", False):
                _forget(headers)  # requests, where the application follows by itself
            return response
        finally:
            if token is not None:
                _handed_on.reset(token)

    wrap_function_wrapper(module, method, hop)


def _forget(headers: Any) -> None:
    try:
        take_out(headers, _handed_on.get() or frozenset())
    except Exception as error:  # noqa: BLE001 (the application has its answer)
        report_error(_FAILED, error)


def watch_aiohttp(instrumentation: Any) -> None:
    """To be called when its instrumentation has been loaded, which makes such a configuration for each session."""
    original = instrumentation.create_trace_config

    def create_trace_config(*args: Any, **kwargs: Any) -> Any:
        config = original(*args, **kwargs)
        config.on_request_redirect.append(_before_redirect)
        config.on_request_end.insert(0, _before_end)
        return config

    put(instrumentation, "create_trace_config", create_trace_config)


def take_out_if_excluded(params: Any, excluded: ExcludeList, pairs: Pairs) -> None:
    """For aiohttp's `on_request_redirect`: `pairs` out of the headers that follow, where the target is excluded."""
    location = params.response.headers.get("location") or params.response.headers.get("uri") or ""
    if excluded.url_disabled(str(params.url.join(type(params.url)(location)))):
        take_out(params.headers, pairs)


async def _before_end(_: Any, context: Any, params: Any) -> None:
    from tracebaton_configurator.propagation.bodies import watch_aiohttp

    span = getattr(context, "span", None)
    if span is not None:
        watch_aiohttp(params.response, span)


async def _before_redirect(_: Any, context: Any, params: Any) -> None:
    try:
        if getattr(context, "span", None) is not None:
            take_out_if_excluded(params, context.excluded_urls, injected(params.headers))
    except Exception as error:  # noqa: BLE001 (the application's call goes on)
        report_error(_FAILED, error)


def _of_requests(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[str, Any]:
    request = args[0] if args else kwargs["request"]
    return request.url, request.headers


def _of_urllib(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[str, Any]:
    request = args[0] if args else kwargs["fullurl"]
    return ("", None) if isinstance(request, str) else (request.full_url, request.headers)


def _of_urllib3(pool: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[str, Any]:
    url = args[1] if len(args) > 1 else kwargs["url"]
    if url.startswith("/"):
        # As the instrumentation writes it (opentelemetry/instrumentation/urllib3, `_get_url`).
        usual = (pool.scheme, pool.port) in {("http", 80), ("https", 443), ("http", None), ("https", None)}
        url = f"{pool.scheme}://{pool.host}{'' if usual else f':{pool.port}'}{url}"
    return url, args[3] if len(args) > 3 else kwargs.get("headers")


# The class's method that makes one hop, and where it has the URL and the headers.
HOPS: dict[str, tuple[str, str, Callable[[Any, tuple[Any, ...], dict[str, Any]], tuple[str, Any]]]] = {
    "requests": ("requests", "Session.send", _of_requests),
    "urllib": ("urllib.request", "OpenerDirector.open", _of_urllib),
    "urllib3": ("urllib3", "HTTPConnectionPool.urlopen", _of_urllib3),
}
