"""An agent that calls the next service by the client that is asked for."""

from __future__ import annotations

import asyncio
import os
from urllib.request import urlopen

import aiohttp
import httpx
import requests
import urllib3
import websockets
import websockets.sync.client
from fastapi import FastAPI, Response

app = FastAPI()
URL = f"{os.environ['PEER']}/headers"
WS = f"{os.environ['PEER']}/socket".replace("http", "ws", 1)


class ThroughAiohttp(httpx.AsyncBaseTransport):
    """What LiteLLM and openai's aiohttp client put below httpx."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        async with (
            aiohttp.ClientSession() as session,
            session.request(request.method, str(request.url), headers=request.headers.items()) as answer,
        ):
            return httpx.Response(answer.status, content=await answer.read())


class ThroughRequests(httpx.BaseTransport):
    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = requests.request(request.method, str(request.url), headers=dict(request.headers), timeout=5)
        return httpx.Response(answer.status_code, content=answer.content)


async def by_aiohttp() -> str:
    async with aiohttp.ClientSession() as session, session.get(URL) as answer:
        return await answer.text()


async def by_httpx() -> str:
    async with httpx.AsyncClient() as client:
        return (await client.get(URL)).text


async def by_httpx_over_aiohttp() -> str:
    async with httpx.AsyncClient(transport=ThroughAiohttp()) as client:
        return (await client.get(URL)).text


def by_httpx_over_requests() -> str:
    with httpx.Client(transport=ThroughRequests()) as client:
        return client.get(URL).text


def by_requests() -> str:
    return requests.get(URL, timeout=5).text


def by_urllib3() -> str:
    return urllib3.PoolManager().request("GET", URL).data.decode()


def by_urllib3_with_headers() -> str:
    headers = {"x-own": "1"}
    answer = urllib3.PoolManager().request("GET", URL, headers=headers).data.decode()
    assert headers == {"x-own": "1"}
    return answer


def by_urllib() -> str:
    with urlopen(URL, timeout=5) as answer:  # noqa: S310
        return str(answer.read().decode())


async def by_websockets() -> str:
    async with websockets.connect(WS) as socket:
        return str(await socket.recv())


def by_websockets_sync() -> str:
    with websockets.sync.client.connect(WS) as socket:
        return str(socket.recv())


@app.get("/by/{client}")
async def by(client: str) -> Response:
    function = globals()[f"by_{client}"]
    answer = await (function() if asyncio.iscoroutinefunction(function) else asyncio.to_thread(function))
    return Response(answer, media_type="application/json")


@app.get("/refused/{client}")
async def refused(client: str) -> str:
    """A connection that nobody takes: what the application sees of it."""
    url = "http://127.0.0.1:1/"
    try:
        if client == "aiohttp":
            async with aiohttp.ClientSession() as session:
                await session.get(url)
        elif client == "requests":
            await asyncio.to_thread(requests.get, url, timeout=5)
        else:
            await asyncio.to_thread(urllib3.PoolManager().request, "GET", url, retries=False)
    except Exception as error:  # noqa: BLE001
        return type(error).__name__
    return "answered"
