"""Client and server in one process, which imports nothing but the SDK: every kind of request, and one that is given up.

Ends with status 0 where each is in the trace of its caller.
"""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import mcp

try:
    from mcp.server.fastmcp import FastMCP
    from mcp.shared.memory import create_connected_server_and_client_session
except ImportError:
    from mcp.server.mcpserver import MCPServer as FastMCP

from opentelemetry import trace

server = FastMCP("memory")
tracer = trace.get_tracer("application")
given_up: list[str] = []


def trace_id() -> str:
    return f"{trace.get_current_span().get_span_context().trace_id:032x}"


@server.tool()
async def look() -> str:
    return trace_id()


@server.tool()
async def slow() -> str:
    given_up.append(trace_id())
    await asyncio.sleep(60)
    return ""


@server.resource("x://here")
async def here() -> str:
    return trace_id()


@server.prompt()
async def hello() -> str:
    return trace_id()


async def call(session: Any) -> None:
    for _ in range(3):
        with tracer.start_as_current_span("request"):
            found = [(await session.call_tool("look", {})).content[0].text]
            found.append((await session.read_resource("x://here")).contents[0].text)
            found.append((await session.get_prompt("hello")).messages[0].content.text)
            await session.list_tools()
            with anyio.move_on_after(60) as scope:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(session.call_tool, "slow", {})
                    while not given_up:  # noqa: ASYNC110 (an Event would be of one loop)
                        await anyio.sleep(0.01)
                    scope.cancel()
            found.append(given_up.pop())
            assert found == [trace_id()] * 4, (found, trace_id())


async def main() -> None:
    if hasattr(mcp, "Client"):
        async with mcp.Client(server) as client:
            await call(client)
    else:
        async with create_connected_server_and_client_session(server._mcp_server) as session:
            await call(session)


asyncio.run(main())
