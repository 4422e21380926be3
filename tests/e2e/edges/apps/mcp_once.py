"""Starts a server on stdio, as agents do, with no environment but what the tool needs; calls it once, and ends it."""

from __future__ import annotations

import asyncio
import os

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client


async def main() -> None:
    server = StdioServerParameters(command="python", args=["mcp_tools.py"], env={"PEER": os.environ["PEER"]})
    async with stdio_client(server) as streams, ClientSession(*streams) as session:
        await session.initialize()
        result = await session.call_tool("fail", {})
        assert "fail" in result.content[0].text


asyncio.run(main())
