"""HTTP clients that upstream has instrumentations for, where these are not installed.

They are not dependencies: each wants exactly its own release of `opentelemetry-instrumentation`, and they are not
always released together. Where one is installed it is what is used, and this leaves its client alone.

* requests, urllib, urllib3: their method that makes a call (`redirects.HOPS`);
* aiohttp: one more TraceConfig in each session, as upstream does it;
* httpx: transports of the application's own, which upstream's instrumentation for httpx does not see;
* websockets: the handshake's headers, without a span.

Checked with requests 2.32 to 2.34, urllib3 2.0 to 2.8, aiohttp 3.10 to 3.14, httpx 0.28, websockets 13 to 16.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from functools import wraps
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from opentelemetry import context as context_api
from opentelemetry import propagate
from opentelemetry.instrumentation.utils import is_http_instrumentation_enabled

from tracebaton_configurator.patching.registry import put
from tracebaton_configurator.propagation.bodies import watch_aiohttp, watch_httpx
from tracebaton_configurator.propagation.outgoing import TracedClient
from tracebaton_configurator.propagation.redirects import HOPS, take_out, take_out_if_excluded, watch_hops
from tracebaton_configurator.sampling.decision import hands_on_unsampled

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from tracebaton_configurator.propagation.outgoing import Outgoing

    Args = tuple[Any, ...]
    Kwargs = dict[str, Any]


def serve(name: str, on_served: Callable[[str], object], module: ModuleType) -> None:
    """Patch the client `name`, whose module has been imported; `on_served` is called with its name."""
    client = TracedClient(name)
    if name == "aiohttp-client":
        _serve_aiohttp(client, module)
    else:
        watch_hops(name)
        _serve_calls(name, client)
    if name != "urllib":  # the standard library's, which nearly every process imports
        on_served(name)


def _serve_calls(name: str, client: TracedClient) -> None:
    from wrapt import wrap_function_wrapper

    module, method, parts = HOPS[name]

    def call(wrapped: Callable[..., Any], instance: Any, args: Args, kwargs: Kwargs) -> Any:
        outgoing = None
        with suppress(Exception):  # what is wrong with the arguments is for the client to say
            args, kwargs = _FORMS[name](instance, args, kwargs)
            url, _ = parts(instance, args, kwargs)
            outgoing = client.begin(_METHODS[name](args, kwargs), url)
            if outgoing is not None:
                headers = parts(instance, args, kwargs)[1]
                for key, value in outgoing.headers.items():
                    headers[key] = value
        if outgoing is None:
            return wrapped(*args, **kwargs)
        try:
            with outgoing.entered():
                response = wrapped(*args, **kwargs)
        except BaseException as error:
            outgoing.end(error)
            raise
        outgoing.answered(response)
        outgoing.end()
        return response

    wrap_function_wrapper(module, method, call)


def _as_it_is(_: Any, args: Args, kwargs: Kwargs) -> tuple[Args, Kwargs]:
    return args, kwargs


def _with_request(_: Any, args: Args, kwargs: Kwargs) -> tuple[Args, Kwargs]:
    """urllib: an address becomes the request that `OpenerDirector.open` would make of it."""
    from urllib.request import Request

    url = args[0] if args else kwargs["fullurl"]
    if isinstance(url, str):
        data = args[1] if len(args) > 1 else kwargs.get("data")
        url = Request(url, data)  # noqa: S310 (the application's own call)
    return (url, *args[1:]), {name: value for name, value in kwargs.items() if name != "fullurl"}


def _with_headers(pool: Any, args: Args, kwargs: Kwargs) -> tuple[Args, Kwargs]:
    """urllib3: headers that are this call's own; without any it would take those of the pool."""
    given = args[3] if len(args) > 3 else kwargs.get("headers")
    given = pool.headers if given is None else given
    own = given.copy() if hasattr(given, "copy") else dict(given)
    return ((*args[:3], own, *args[4:]), kwargs) if len(args) > 3 else (args, {**kwargs, "headers": own})


_FORMS: dict[str, Callable[[Any, Args, Kwargs], tuple[Args, Kwargs]]] = {
    "requests": _as_it_is,
    "urllib": _with_request,
    "urllib3": _with_headers,
}
_METHODS: dict[str, Callable[[Args, Kwargs], str]] = {
    "requests": lambda args, kwargs: (args[0] if args else kwargs["request"]).method,
    "urllib": lambda args, _: args[0].get_method(),
    "urllib3": lambda args, kwargs: args[0] if args else kwargs["method"],
}


def _serve_aiohttp(client: TracedClient, aiohttp: ModuleType) -> None:
    from wrapt import wrap_function_wrapper

    async def start(_: Any, context: Any, params: Any) -> None:
        context.outgoing = client.begin(params.method, str(params.url))
        if context.outgoing is not None:
            for key, value in context.outgoing.headers.items():
                params.headers[key] = value

    async def end(_: Any, context: Any, params: Any) -> None:
        if context.outgoing is not None:
            context.outgoing.answered(params.response)
            context.outgoing.watch(watch_aiohttp, params.response)
            context.outgoing.end()

    async def fail(_: Any, context: Any, params: Any) -> None:
        if context.outgoing is not None:
            context.outgoing.end(params.exception)

    async def redirect(_: Any, context: Any, params: Any) -> None:
        if context.outgoing is not None:
            with suppress(Exception):  # the application's call goes on
                pairs = frozenset((name.lower(), value) for name, value in context.outgoing.headers.items())
                take_out_if_excluded(params, client.excluded, pairs)

    def own_context(**kwargs: Any) -> SimpleNamespace:
        return SimpleNamespace(outgoing=None, **{"trace_request_ctx": {}, **kwargs})

    config = aiohttp.TraceConfig(trace_config_ctx_factory=own_context)
    config.on_request_start.append(start)
    config.on_request_end.append(end)
    config.on_request_exception.append(fail)
    config.on_request_redirect.append(redirect)
    config.freeze()

    def init(wrapped: Callable[..., None], _: Any, args: Args, kwargs: Kwargs) -> None:
        wrapped(*args, **{**kwargs, "trace_configs": [config, *(kwargs.get("trace_configs") or ())]})

    wrap_function_wrapper(aiohttp, "ClientSession.__init__", init)


def serve_transports(httpx: ModuleType) -> None:
    client = TracedClient("httpx")
    # Upstream's instrumentation is in these, or there is no network: an application in the same process would find
    # itself below a call that suppresses the spans of its own requests.
    left_alone = (httpx.HTTPTransport, httpx.AsyncHTTPTransport, httpx.ASGITransport, httpx.WSGITransport)
    modules = ("opentelemetry.instrumentation.httpx", "starlette.testclient")

    def is_left_alone(transport: Any) -> bool:
        kind = type(transport)
        return (
            kind in left_alone
            or isinstance(transport, left_alone)
            or any(one.__module__ in modules for one in kind.__mro__)
        )

    def is_instrumented() -> bool:
        """What an application has switched off for httpx is off for all its transports."""
        instrumentation: Any = sys.modules.get(modules[0])
        return instrumentation is None or instrumentation.HTTPXClientInstrumentor().is_instrumented_by_opentelemetry

    def begin(instance: Any, request: Any) -> Any:
        try:
            if is_left_alone(instance._transport_for_url(request.url)) or not is_instrumented():  # noqa: SLF001
                return None
            outgoing = client.begin(request.method, str(request.url))
            if outgoing is not None:
                request.headers.update(outgoing.headers)
            return outgoing
        except Exception:  # noqa: BLE001 (what is wrong with a request is for httpx to say)
            return None

    def finish(args: Args, kwargs: Kwargs, outgoing: Outgoing, response: Any) -> None:
        with suppress(Exception):  # the application has its answer
            # httpx follows redirects above, with the headers of this request.
            if 300 <= response.status_code < 400:
                request = args[0] if args else kwargs["request"]
                take_out(request.headers, frozenset((name.lower(), value) for name, value in outgoing.headers.items()))
        outgoing.answered(response)
        outgoing.watch(watch_httpx, response)
        outgoing.end()

    def sending(original: Callable[..., Any]) -> Callable[..., Any]:
        def send(self: Any, *args: Any, **kwargs: Any) -> Any:
            outgoing = begin(self, args[0] if args else kwargs.get("request"))
            if outgoing is None:
                return original(self, *args, **kwargs)
            try:
                with outgoing.entered_for_itself():
                    response = original(self, *args, **kwargs)
            except BaseException as error:
                outgoing.end(error)
                raise
            finish(args, kwargs, outgoing, response)
            return response

        return send

    def sending_async(original: Callable[..., Any]) -> Callable[..., Any]:
        async def send(outgoing: Outgoing, self: Any, *args: Any, **kwargs: Any) -> Any:
            try:
                with outgoing.entered_for_itself():
                    response = await original(self, *args, **kwargs)
            except BaseException as error:
                outgoing.end(error)
                raise
            finish(args, kwargs, outgoing, response)
            return response

        # No coroutine of its own where there is nothing to do.
        def send_or_pass(self: Any, *args: Any, **kwargs: Any) -> Any:
            outgoing = begin(self, args[0] if args else kwargs.get("request"))
            return original(self, *args, **kwargs) if outgoing is None else send(outgoing, self, *args, **kwargs)

        return send_or_pass

    for kind, make in ((httpx.Client, sending), (httpx.AsyncClient, sending_async)):
        original = kind._send_single_request  # noqa: SLF001
        put(kind, "_send_single_request", wraps(original)(make(original)))


def serve_websockets(client: ModuleType) -> None:
    original = client.ClientProtocol.send_request

    def send_request(self: Any, request: Any) -> None:
        with suppress(Exception):  # the handshake is the application's
            context = context_api.get_current()
            if "traceparent" not in request.headers and (
                is_http_instrumentation_enabled() or hands_on_unsampled(context)
            ):
                headers: dict[str, str] = {}
                propagate.inject(headers)
                for key, value in headers.items():
                    if key not in request.headers:  # they would be two
                        request.headers[key] = value
        original(self, request)

    client.ClientProtocol.send_request = send_request
