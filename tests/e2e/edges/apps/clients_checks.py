"""An agent whose endpoints do what clients are seldom asked to; each answers what came of it."""

from __future__ import annotations

import asyncio
import os
from typing import Any
from urllib.error import HTTPError
from urllib.request import build_opener, urlopen

import httpx
import requests
import websockets
from fastapi import FastAPI, Request
from opentelemetry import baggage, context
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.instrumentation.utils import suppress_http_instrumentation

app = FastAPI()
PEER = os.environ["PEER"]
inner = FastAPI()


@inner.get("/in")
async def inside() -> Any:
    async with httpx.AsyncClient() as client:
        return (await client.get(f"{PEER}/headers")).json()


class InProcess(httpx.AsyncBaseTransport):
    """Delegates to an application in this process, as a company's test double or gateway does."""

    def __init__(self) -> None:
        self._inner = httpx.ASGITransport(inner)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._inner.handle_async_request(request)


class OverRequests(httpx.BaseTransport):
    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = requests.request(
            request.method, str(request.url), headers=dict(request.headers), timeout=5, allow_redirects=False
        )
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)


async def excluded(path: str) -> Any:
    return (await asyncio.to_thread(requests.get, f"{PEER}{path}", timeout=5)).json()["traceparent"]


async def excluded_over_transport(path: str) -> Any:
    def call() -> Any:
        with httpx.Client(transport=OverRequests(), follow_redirects=True) as client:
            return client.get(f"{PEER}{path}").json()["traceparent"]

    return await asyncio.to_thread(call)


async def in_process(_: str) -> Any:
    async with httpx.AsyncClient(transport=InProcess()) as client:
        return (await client.get("http://inner/in")).json()["traceparent"]


async def suppressed(_: str) -> Any:
    def call() -> Any:
        with suppress_http_instrumentation():
            return requests.get(f"{PEER}/headers", timeout=5).json()["traceparent"]

    return await asyncio.to_thread(call)


async def suppressed_websocket(_: str) -> Any:
    with suppress_http_instrumentation():
        async with websockets.connect(f"{PEER}/socket".replace("http", "ws", 1)) as socket:
            return await socket.recv()


async def own_baggage(_: str) -> Any:
    token = context.attach(baggage.set_baggage("a", "1"))
    try:
        url = f"{PEER}/baggage".replace("http", "ws", 1)
        async with websockets.connect(url, additional_headers={"baggage": "mine=2"}) as socket:
            return await socket.recv()
    finally:
        context.detach(token)


async def nonsense(_: str) -> Any:
    try:
        build_opener().open(fullurl="nonsense")
    except Exception as error:  # noqa: BLE001
        return f"{type(error).__name__}: {error}"


async def data(_: str) -> Any:
    return (await asyncio.to_thread(urlopen, "data:text/plain,private")).read().decode()


async def missing(_: str) -> Any:
    try:
        await asyncio.to_thread(urlopen, f"{PEER}/missing")
    except HTTPError as error:
        return error.code


async def uninstrumented(_: str) -> Any:
    instrumentor = HTTPXClientInstrumentor()
    instrumentor.uninstrument()
    try:
        return await excluded_over_transport("/other")
    finally:
        instrumentor.instrument()


@app.get("/{check}/{path:path}")
async def run(request: Request, check: str, path: str) -> Any:
    return await globals()[check](f"/{path}")
