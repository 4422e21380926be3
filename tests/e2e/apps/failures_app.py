"""Failures that a status of 200 does not show, and clients that go."""

import asyncio
import logging

from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

logger = logging.getLogger("failures")
app = FastAPI()


@app.get("/fine")
async def fine() -> str:
    return "fine"


@app.get("/logged")
def logged() -> str:
    try:
        raise ValueError("on purpose")
    except ValueError:
        logger.exception("it failed, and is answered all the same")
    return "fine"


@app.get("/breaks")
async def breaks() -> StreamingResponse:
    async def chunks():  # noqa: ANN202
        yield b"x"
        raise ValueError("late")

    return StreamingResponse(chunks())


@app.get("/endless")
async def endless() -> StreamingResponse:
    async def chunks():  # noqa: ANN202
        while True:
            yield b"x" * 1000
            await asyncio.sleep(0.01)

    return StreamingResponse(chunks())


@app.post("/takes")
async def takes(request: Request) -> int:
    return len(await request.body())
