"""A2A over gRPC: the metadata of a call carries the trace, and each call that an agent serves has a SERVER span.

Only where none of OpenTelemetry's instrumentations for gRPC is imported; with these the SDK's channels and servers are
connected as all others are. Checked with a2a-sdk 0.3.0 and 1.3.0, and the older protocol that the latter speaks, too.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from functools import partial, update_wrapper
from inspect import isasyncgenfunction, unwrap
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from opentelemetry.trace import SpanKind

from tracebaton_configurator.patching import registry
from tracebaton_configurator.propagation.incoming import Incoming, trace_headers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from types import ModuleType

_TRANSPORTS = {
    "a2a.client.transports.grpc": "GrpcTransport",
    "a2a.compat.v0_3.grpc_transport": "CompatGrpcTransport",
}
_HANDLERS = {
    "a2a.server.request_handlers.grpc_handler": "GrpcHandler",
    "a2a.compat.v0_3.grpc_handler": "CompatGrpcHandler",
}
_INSTRUMENTATION = "opentelemetry.instrumentation.grpc"


def install() -> None:
    for module, name in _TRANSPORTS.items():
        registry.apply_on_import("a2a-grpc", module, partial(_replace_transport, name))
    for module, name in _HANDLERS.items():
        registry.apply_on_import("a2a-grpc", module, partial(_replace_handler, name))


def _replace_transport(name: str, module: ModuleType) -> None:
    transport = getattr(module, name)
    init = transport.__init__

    def init_with_trace(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        with suppress(Exception):
            for method, call in [*vars(self.stub).items()]:
                setattr(self.stub, method, _with_trace(call))

    registry.put(transport, "__init__", update_wrapper(init_with_trace, init))


def _with_trace(call: Callable[..., Any]) -> Callable[..., Any]:
    def call_with_trace(*args: Any, **kwargs: Any) -> Any:
        headers = {} if _INSTRUMENTATION in sys.modules else trace_headers()
        if headers:
            kwargs["metadata"] = (*(kwargs.get("metadata") or ()), *headers.items())
        return call(*args, **kwargs)

    return call_with_trace


def _replace_handler(name: str, module: ModuleType) -> None:
    handler = getattr(module, name)
    service = f"{handler.__mro__[1].__module__.rpartition('.')[2].removesuffix('_pb2_grpc')}.A2AService"
    for method_name, method in [*vars(handler).items()]:
        if method_name[0].isupper() and callable(method):
            registry.put(handler, method_name, _traced(method, service, method_name))


def _traced(method: Callable[..., Any], service: str, name: str) -> Callable[..., Any]:
    async def call(self: Any, request: Any, context: Any, *args: Any, **kwargs: Any) -> Any:
        work = _served(service, name, context)
        if work is None:
            return await method(self, request, context, *args, **kwargs)
        with work:
            return await method(self, request, context, *args, **kwargs)

    async def stream(self: Any, request: Any, context: Any, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        events = method(self, request, context, *args, **kwargs)
        work = _served(service, name, context)
        if work is None:
            async for event in events:
                yield event
            return
        with work:
            async for event in events:
                yield event

    return update_wrapper(stream if isasyncgenfunction(unwrap(method)) else call, method)


def _served(service: str, name: str, context: Any) -> Incoming | None:
    """The call that `context` is about; None where it is somebody else's to trace."""
    if _INSTRUMENTATION in sys.modules:
        return None
    with suppress(Exception):
        headers = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
        attributes = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": name}
        return Incoming(
            f"{service}/{name}", headers, kind=SpanKind.SERVER, attributes=attributes, client=_address(context.peer())
        )
    return None


def _address(peer: str) -> tuple[str, str]:
    """Of `ipv4:127.0.0.1:50051`, `ipv6:%5B::1%5D:50051` or `unix:`; that is how grpc names whoever calls."""
    host, _, port = unquote(peer.partition(":")[2]).rpartition(":")
    return host.strip("[]"), port
