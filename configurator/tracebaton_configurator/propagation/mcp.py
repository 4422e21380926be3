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
from tracebaton_configurator.patching.registry import apply_on_import, later

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Of 1.x, and of 2.x; of both.
_PATCHES: tuple[tuple[str, str, Callable[..., object]], ...] = (
    ("mcp-session", "mcp.shared.session", later("propagation.mcp_client", "patch_session")),
    ("mcp-callbacks", "mcp.client.session", later("propagation.mcp_client", "patch_callbacks")),
    ("mcp-dispatcher", "mcp.shared.jsonrpc_dispatcher", later("propagation.mcp_client", "patch_dispatcher")),
    ("mcp-http", "mcp.client.streamable_http", later("propagation.mcp_client", "patch_streamable_http")),
    ("mcp-sse", "mcp.client.sse", later("propagation.mcp_client", "patch_sse")),
    ("mcp-server", "mcp.server.lowlevel.server", later("propagation.mcp_server", "patch_server")),
    ("mcp-middleware", "mcp.server._otel", later("propagation.mcp_server", "patch_middleware")),
    ("fastmcp", "fastmcp.server.low_level", later("propagation.mcp_server", "patch_fastmcp")),
)


def install(environ: Mapping[str, str]) -> None:
    """Patch the SDK, and FastMCP, as they are imported. `environ` is this process's own."""
    patch_stdio = later("propagation.mcp_stdio", "patch_stdio")
    apply_on_import("mcp-stdio", "mcp.client.stdio", lambda module: patch_stdio(module, environ))
    for name, module, replace in _PATCHES:
        apply_on_import(name, module, replace)


def around() -> dict[str, Around]:
    """For the instrumentations of that name: OpenLLMetry's makes spans, OpenInference's makes none."""
    return {"mcp": Around(after=_leave_spans)}


def _leave_spans() -> None:
    from tracebaton_configurator.propagation import mcp_calls

    mcp_calls.made_by_others = find_spec("opentelemetry.instrumentation.mcp") is not None
