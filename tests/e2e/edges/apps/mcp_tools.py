"""An MCP server, of either generation of the SDK or FastMCP: over HTTP in an application, or a program on stdio."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

log = logging.getLogger("tools")


async def peer() -> str:
    async with httpx.AsyncClient(verify=False) as client:
        answer = await client.get(f"{os.environ['PEER']}/headers")
    log.warning("called the peer for %s", answer.json()["traceparent"])
    return str(answer.json()["traceparent"])


async def look() -> str:
    """What the third service was called with."""
    return await peer()


def think() -> str:
    """As `look`, in a function that blocks."""
    answer = httpx.get(f"{os.environ['PEER']}/headers", verify=False)
    log.warning("called the peer for %s", answer.json()["traceparent"])
    return str(answer.json()["traceparent"])


async def fail() -> str:
    """A tool that fails."""
    raise ValueError("no such order")


if os.environ.get("SERVER") == "fastmcp":
    from fastmcp import Context, FastMCP
else:
    try:
        from mcp.server.fastmcp import Context, FastMCP
    except ImportError:
        from mcp.server.mcpserver import Context
        from mcp.server.mcpserver import MCPServer as FastMCP


async def ask(ctx: Context) -> str:
    """What the client's callback has called the third service with; and a progress notification."""
    await ctx.report_progress(1, 2)
    if os.environ.get("SERVER") == "fastmcp":
        answer: Any = await ctx.sample("what now?")
        return str(answer.text)
    from mcp.types import SamplingMessage, TextContent

    message = SamplingMessage(role="user", content=TextContent(type="text", text="what now?"))
    if hasattr(FastMCP, "get_context"):
        answer = await ctx.session.create_message([message], max_tokens=10)
    else:
        related = {"related_request_id": ctx.request_id}
        answer = await ctx.session.create_message([message], max_tokens=10, **related)
    return str(answer.content.text)


ask.__annotations__["ctx"] = Context  # older releases do not evaluate it


def make(**options: Any) -> FastMCP:
    made = FastMCP("tools", **options)
    for tool in (look, think, fail, ask):
        made.tool()(tool)
    return made


def http_app(*, stateless: bool) -> tuple[Any, FastMCP]:
    """The application, and what has to run as long as it does."""
    if os.environ.get("SERVER") == "fastmcp":
        made = make()
        app = made.http_app(path="/mcp", stateless_http=stateless)
        return app, app.lifespan(app)
    try:
        made = make(stateless_http=stateless)
        app = made.streamable_http_app()
    except TypeError:
        made = make()
        app = made.streamable_http_app(stateless_http=stateless)
    return app, made.session_manager.run()


if __name__ == "__main__":
    make().run("stdio")
    sys.exit()

from fastapi import FastAPI  # noqa: E402

stateful, stateful_runs = http_app(stateless=False)
stateless, stateless_runs = http_app(stateless=True)


@contextlib.asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(stateful_runs)
        await stack.enter_async_context(stateless_runs)
        yield


app = FastAPI(lifespan=lifespan)
app.mount("/stateful", stateful)
app.mount("/stateless", stateless)
if os.environ.get("SERVER") == "fastmcp":
    app.mount("/events", make().http_app(transport="sse"))
else:
    app.mount("/events", make().sse_app())
