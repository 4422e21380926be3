"""MCP: each call is part of the trace that it is made in, on every transport and with one session for many requests.

The trace context goes in `params._meta` of a request (SEP-414), and the HTTP request that carries it has that of who
sent it. The SDK does so itself from 2.0 on, and is followed; what it lacks there is in `mcp_server` and `mcp_client`.
What a session does by itself, its listening stream and its readers, belongs to nobody.

Where an instrumentation of the name `mcp` makes spans, this makes none, and still carries the context.
https://modelcontextprotocol.io/seps/414-request-meta
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from tracebaton_configurator.patching.around import Around
from tracebaton_configurator.patching.registry import apply_on_import
from tracebaton_configurator.propagation import mcp_calls, mcp_client, mcp_server
from tracebaton_configurator.propagation.mcp_stdio import patch_stdio

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType

# Of 1.x, and of 2.x; of both.
_PATCHES: tuple[tuple[str, str, Callable[[ModuleType], object]], ...] = (
    ("mcp-session", "mcp.shared.session", mcp_client.patch_session),
    ("mcp-callbacks", "mcp.client.session", mcp_client.patch_callbacks),
    ("mcp-dispatcher", "mcp.shared.jsonrpc_dispatcher", mcp_client.patch_dispatcher),
    ("mcp-http", "mcp.client.streamable_http", mcp_client.patch_streamable_http),
    ("mcp-sse", "mcp.client.sse", mcp_client.patch_sse),
    ("mcp-server", "mcp.server.lowlevel.server", mcp_server.patch_server),
    ("mcp-middleware", "mcp.server._otel", mcp_server.patch_middleware),
    ("fastmcp", "fastmcp.server.low_level", mcp_server.patch_fastmcp),
)


def install(environ: Mapping[str, str]) -> None:
    """Patch the SDK, and FastMCP, as they are imported. `environ` is this process's own."""
    apply_on_import("mcp-stdio", "mcp.client.stdio", lambda module: patch_stdio(module, environ))
    for name, module, replace in _PATCHES:
        apply_on_import(name, module, replace)


def around() -> dict[str, Around]:
    """For the instrumentations of that name: OpenLLMetry's makes spans, OpenInference's makes none."""
    return {"mcp": Around(after=_leave_spans)}


def _leave_spans() -> None:
    mcp_calls.made_by_others = find_spec("opentelemetry.instrumentation.mcp") is not None
