"""An agent that calls tools over MCP. It opens a session for each transport within its first request, and keeps it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from typing import TYPE_CHECKING, Any

import httpx
from fastapi import FastAPI
from mcp import ClientSession, StdioServerParameters
from mcp.client.sse import sse_client
from mcp.client.stdio import stdio_client
from mcp.types import CreateMessageResult, TextContent

try:
    from mcp.client.streamable_http import streamable_http_client
except ImportError:
    from mcp.client.streamable_http import streamablehttp_client as streamable_http_client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

log = logging.getLogger("agent")
app = FastAPI()
sessions: dict[str, asyncio.Future[Any]] = {}
tasks: set[asyncio.Task[None]] = set()
ends = asyncio.Event()


@contextlib.asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    yield
    ends.set()
    await asyncio.gather(*tasks)


app.router.lifespan_context = lifespan


async def sample(*_: Any) -> CreateMessageResult:
    """What a server asks for: it calls the third service, too."""
    async with httpx.AsyncClient(verify=False) as client:
        answer = await client.get(f"{os.environ['PEER']}/headers")
    text = answer.json()["traceparent"]
    log.warning("sampled for %s", text)
    return CreateMessageResult(role="assistant", model="none", content=TextContent(type="text", text=text))


def opened(transport: str) -> Any:
    tools = os.environ["TOOLS"]
    if transport == "events":
        return sse_client(f"{tools}/events/sse")
    if transport == "stdio":
        env = {"PEER": os.environ["PEER"], "OTEL_SERVICE_NAME": "stdio"}
        return stdio_client(StdioServerParameters(command=sys.executable, args=["mcp_tools.py"], env=env))
    return streamable_http_client(f"{tools}/{transport}/mcp")


async def keep(transport: str, session: asyncio.Future[Any]) -> None:
    if transport == "client":  # the high-level one of 2.x, without sessions
        from mcp import Client

        async with Client(f"{os.environ['TOOLS']}/stateful/mcp") as client:
            session.set_result(client)
            await ends.wait()
        return
    async with opened(transport) as streams, ClientSession(*streams[:2], sampling_callback=sample) as made:
        await made.initialize()
        session.set_result(made)
        await ends.wait()


@app.get("/{transport}/{tool}")
async def call(transport: str, tool: str) -> dict[str, Any]:
    if transport not in sessions:
        sessions[transport] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(keep(transport, sessions[transport]))
        tasks.add(task)
    session = await sessions[transport]
    progress: list[float] = []

    async def heard(done: float, *_: Any) -> None:
        log.warning("progress")
        progress.append(done)

    more = {"progress_callback": heard} if tool == "ask" else {}
    result = await session.call_tool(tool, {}, **more)
    log.warning("called %s", tool)
    failed = getattr(result, "isError", None) or getattr(result, "is_error", False)
    return {"text": result.content[0].text, "failed": failed, "progress": progress}
