"""Servers of MCP: each request is run in the context of its own `_meta`, else in that of the HTTP request it came by.

In SDK 1.x it would be run in that of whoever began the session. 2.x gives it the right one, and a span, but obeys
every `_meta`, keeps no failure that was not sampled, and takes the `traceparent` of an HTTP request only from a span.
FastMCP has spans of its own from 3.0 on, which stay. Checked with mcp 1.10 to 1.30 and 2.0 to 2.3, fastmcp 2.14 to 4.2.
"""

from __future__ import annotations

import sys
from functools import wraps
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import SpanKind, get_current_span

from tracebaton_configurator.logs.diagnostics import report_error
from tracebaton_configurator.patching.registry import put
from tracebaton_configurator.propagation import mcp_calls
from tracebaton_configurator.propagation.incoming import NOWHERE, Incoming, Surroundings, context_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from types import ModuleType

_CAME_BY = "_tracebaton_came_by"
_ANSWERED_BY_THE_SDK = ("ping",)


def patch_server(module: ModuleType) -> bool:
    """1.x; 2.x has no such method."""
    server: Any = module.Server
    message_module: Any = sys.modules["mcp.shared.message"]
    original, original_run = getattr(server, "_handle_message", None), server.run
    if original is None:
        return hasattr(sys.modules.get("mcp.shared"), "jsonrpc_dispatcher")
    metadata_class = message_module.ServerMessageMetadata
    make = metadata_class.__init__

    @wraps(make)
    def make_with_surroundings(self: Any, *args: Any, **kwargs: Any) -> None:
        make(self, *args, **kwargs)
        # The transport's task for the HTTP request makes it.
        if getattr(self, "request_context", None) is not None:
            setattr(self, _CAME_BY, Surroundings.current())

    @wraps(original)
    async def handle_message(self: Any, message: Any, *args: Any, **kwargs: Any) -> None:
        work = _arrived(self, message)
        with NOWHERE.entered() if work is None else work:
            if work is not None:
                watch(message, work)
            await original(self, message, *args, **kwargs)

    @wraps(original_run)
    async def run(self: Any, *args: Any, **kwargs: Any) -> None:
        # A session without state is part of its only request.
        stateless = kwargs.get("stateless", args[4] if len(args) > 4 else False)
        with (Surroundings.current() if stateless else NOWHERE).entered():
            await original_run(self, *args, **kwargs)

    put(metadata_class, "__init__", make_with_surroundings)
    put(server, "_handle_message", handle_message)
    put(server, "run", run)
    return True


def patch_middleware(module: ModuleType) -> None:
    """2.x: instead of the SDK's own span."""
    _patch_call(module.OpenTelemetryMiddleware, makes_span=False)


def patch_fastmcp(module: ModuleType) -> bool:
    """From 4.0 on; before, it is the SDK's server."""
    middleware = getattr(module, "FastMCPServerMiddleware", None)
    if middleware is not None:
        _patch_call(middleware, makes_span=True)
    return middleware is not None or hasattr(module, "LowLevelServer")


def _patch_call(middleware: Any, *, makes_span: bool) -> None:
    original = middleware.__call__

    @wraps(original)
    async def call(self: Any, ctx: Any, call_next: Callable[[Any], Awaitable[Any]]) -> Any:
        def go_on() -> Awaitable[Any]:
            awaitable: Awaitable[Any] = original(self, ctx, call_next) if makes_span else call_next(ctx)
            return awaitable

        try:
            work = _arrived_2(ctx, spanless=makes_span)
        except Exception as error:  # noqa: BLE001 (the call is answered all the same)
            report_error("An MCP request could not be read", error)
            return await original(self, ctx, call_next)
        if work is None:
            return await go_on()
        with work:
            try:
                result = await go_on()
            except Exception as error:
                mcp_calls.note_outcome(work, error)
                if mcp_calls.is_invalid(error):
                    work.end()  # without the exception
                raise
            mcp_calls.note_outcome(work, result)
            return result

    put(middleware, "__call__", call)


def _arrived(server: Any, message: Any) -> Incoming | None:
    """None for a notification or an exception, and for what cannot be read."""
    try:
        request = message.request.root if hasattr(message, "request_meta") else None
        if request is None or request.method in _ANSWERED_BY_THE_SDK:
            return None
        # FastMCP 2 has no spans.
        spanless = type(server).__module__.startswith("fastmcp.") and "fastmcp.server.telemetry" in sys.modules
        metadata = getattr(message, "message_metadata", None)
        return arrived(
            mcp_calls.described(request.method, request.params, message.request_id),
            mcp_calls.as_headers(message.request_meta),
            getattr(metadata, "request_context", None),
            getattr(metadata, _CAME_BY, None),
            spanless=spanless or mcp_calls.made_by_others,
        )
    except Exception as error:  # noqa: BLE001 (the call is answered all the same)
        report_error("An MCP request could not be read", error)
        return None


def _arrived_2(ctx: Any, *, spanless: bool) -> Incoming | None:
    if ctx.request_id is None or ctx.method in _ANSWERED_BY_THE_SDK:
        return None
    name, attributes = mcp_calls.described(ctx.method, ctx.params, ctx.request_id)
    attributes["mcp.protocol.version"] = ctx.protocol_version
    # The SDK has seen to it that this is where the message came in: an HTTP request, or a client in this process.
    within = Surroundings.current()
    return arrived((name, attributes), mcp_calls.as_headers(ctx.meta), ctx.request, within, spanless=spanless)


def arrived(
    described: tuple[str, mcp_calls.Attributes],
    meta: Mapping[str, Any],
    http: Any = None,
    within: Surroundings | None = None,
    *,
    spanless: bool = False,
) -> Incoming:
    """The call with that `_meta`, which came by the request `http` of Starlette's, if by any."""
    name, attributes = described
    headers = meta
    if http is not None and not get_current_span(context_of(meta)).get_span_context().is_valid:
        headers = http.headers
    client = http.scope.get("client") or () if http is not None else None
    return Incoming(
        name, headers, kind=SpanKind.SERVER, attributes=attributes, client=client, within=within, spanless=spanless
    )


def watch(responder: Any, work: Incoming) -> None:
    """Note what it is answered with."""
    respond = responder.respond

    async def respond_noted(response: Any) -> None:
        mcp_calls.note_outcome(work, response)
        await respond(response)

    responder.respond = respond_noted


def asked(method: str, meta: object, request_id: object) -> Incoming | None:
    """For a request of a server's to its client; None for a ping."""
    if method in _ANSWERED_BY_THE_SDK:
        return None
    described = mcp_calls.described(method, None, request_id)
    return arrived(described, mcp_calls.as_headers(meta), spanless=mcp_calls.made_by_others)
