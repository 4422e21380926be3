"""Answers in several parts, and a WebSocket; an error is logged in each, for which it is kept if it is not sampled."""

import asyncio
import logging

from fastapi import FastAPI, WebSocket
from fastapi.responses import StreamingResponse
from starlette.middleware.gzip import GZipMiddleware

app = FastAPI()
app.add_middleware(GZipMiddleware, minimum_size=10)


def fail() -> None:
    try:
        raise KeyError("it is kept for this")
    except KeyError:
        logging.getLogger("streams").exception("it goes on all the same")


@app.get("/plain")
async def plain() -> str:
    fail()
    return "plain" * 20


@app.get("/chunks/{count}")
async def stream(count: int) -> StreamingResponse:
    async def chunks():  # noqa: ANN202
        fail()
        for number in range(count):
            yield f"chunk {number}\n"

    return StreamingResponse(chunks())


@app.get("/breaks")
async def breaks() -> StreamingResponse:
    async def chunks():  # noqa: ANN202
        yield b"x" * 100_000
        raise ValueError("in the middle")

    return StreamingResponse(chunks())


@app.get("/events")
async def events() -> StreamingResponse:
    async def chunks():  # noqa: ANN202
        fail()
        while True:
            yield "data: tick\n\n"
            await asyncio.sleep(0.01)

    return StreamingResponse(chunks(), media_type="text/event-stream")


@app.websocket("/echo")
async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    fail()
    while (text := await websocket.receive_text()) != "close":
        await websocket.send_text(text)
    await websocket.close(1000)
