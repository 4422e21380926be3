"""An application that says which process served a request, and as which trace."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from opentelemetry import trace

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    print("the application has started", flush=True)  # noqa: T201 (the test waits for it)
    yield


app = FastAPI(lifespan=lifespan)


@app.get("/who")
async def who() -> dict[str, object]:
    return {"pid": os.getpid(), "trace_id": f"{trace.get_current_span().get_span_context().trace_id:032x}"}


@app.get("/slow")
async def slow() -> dict[str, object]:
    print("slow has begun", flush=True)  # noqa: T201 (the test waits for it)
    await asyncio.sleep(1)
    return await who()


@app.get("/endless", response_class=StreamingResponse)
async def endless() -> StreamingResponse:
    return StreamingResponse(_dots())


@app.get("/block")
async def block() -> None:
    time.sleep(60)  # noqa: ASYNC251 (this is the mistake that gunicorn's timeout is for)


async def _dots() -> AsyncIterator[str]:
    while True:
        yield "."
        await asyncio.sleep(0.1)
