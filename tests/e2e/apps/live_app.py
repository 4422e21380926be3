"""An agent whose requests, streams, sockets and background work say what they are, and call the next one, NEXT_URL."""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import redis.asyncio as redis
from fastapi import BackgroundTasks, FastAPI, Request, WebSocket
from fastapi.responses import StreamingResponse
from opentelemetry import trace

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

logging.basicConfig(level=logging.INFO)
logging.getLogger("httpx").setLevel(logging.WARNING)
log = logging.getLogger("live")
tracer = trace.get_tracer("live")
released = asyncio.Event()
behind: list[dict[str, Any]] = []


async def work(what: str) -> dict[str, Any]:
    """A line of log, a span of its own, a command to Redis and a call: what of the trace is in each."""
    log.info("%s is at work", what)
    with tracer.start_as_current_span("work") as span:
        recording = span.is_recording()
        if os.environ.get("REDIS_URL"):
            await app.state.store.incr("live")
        headers = (await app.state.client.get("/headers")).json()
    context = trace.get_current_span().get_span_context()
    return {
        "pid": os.getpid(),
        "trace_id": f"{context.trace_id:032x}",
        "recording": recording,
        "sent": {name: headers[name] for name in ("traceparent", "tracestate", "baggage") if name in headers},
    }


async def periodically() -> None:
    while True:
        await asyncio.sleep(0.2)
        if os.environ.get("NEXT_URL"):
            app.state.seen_outside = await work("outside")


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    app.state.seen_outside = None
    async with (
        httpx.AsyncClient(base_url=os.environ.get("NEXT_URL", "")) as client,
        redis.from_url(os.environ.get("REDIS_URL") or "redis://127.0.0.1") as store,
    ):
        app.state.client, app.state.store = client, store
        task = asyncio.create_task(periodically())
        yield
        task.cancel()


app = FastAPI(lifespan=lifespan)
mounted = FastAPI()
app.mount("/sub", mounted)


@app.get("/headers")
async def headers(request: Request) -> dict[str, str]:
    return dict(request.headers)


@app.get("/who")
@app.get("/mark")
async def who() -> dict[str, Any]:
    return {"pid": os.getpid(), "trace_id": f"{trace.get_current_span().get_span_context().trace_id:032x}"}


@app.get("/work")
async def direct() -> dict[str, Any]:
    return await work("a request")


@mounted.get("/work")
async def below() -> dict[str, Any]:
    return await work("a mounted one")


@app.get("/fail")
async def fail() -> None:
    raise RuntimeError("on purpose")


@app.get("/stream", response_class=StreamingResponse)
async def stream() -> StreamingResponse:
    async def parts() -> AsyncIterator[str]:
        yield str(await work("a stream"))

    return StreamingResponse(parts())


@app.get("/background")
async def background(tasks: BackgroundTasks) -> None:
    async def later() -> None:
        behind.append(await work("a background task"))

    tasks.add_task(later)


@app.get("/behind")
async def what_was_behind() -> dict[str, Any]:
    """What the background tasks saw, and what is seen outside of any request."""
    return {"tasks": behind, "outside": app.state.seen_outside}


@app.get("/slow")
async def slow() -> dict[str, Any]:
    log.info("slow has begun")
    await released.wait()
    return await work("a slow request")


@app.get("/release")
async def release() -> None:
    """Those that wait now go on; who comes later waits for another release."""
    global released  # noqa: PLW0603
    released.set()
    released = asyncio.Event()


@app.websocket("/ws")
async def socket(websocket: WebSocket) -> None:
    await websocket.accept()
    async for _ in websocket.iter_text():
        await websocket.send_json(await work("a WebSocket"))
