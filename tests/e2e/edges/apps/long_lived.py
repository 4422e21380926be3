"""A server that does something by itself, too: one that a request or a job of a CI system has started."""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import httpx
from fastapi import FastAPI

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

log = logging.getLogger("loops")
logging.basicConfig(level=logging.INFO)


async def called() -> str:
    async with httpx.AsyncClient() as client:
        answer: str = (await client.get(f"{os.environ['PEER']}/headers")).json()["traceparent"]
    return answer


async def loop() -> None:
    while True:
        log.info("turn %s", await called())
        await asyncio.sleep(0.1)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    task = asyncio.create_task(loop())
    yield
    task.cancel()


app = FastAPI(lifespan=lifespan)


@app.get("/hello")
async def hello() -> str:
    return await called()


@app.get("/excluded")
async def excluded() -> str:
    log.info("excluded")
    return await called()
