"""A loop that the first request starts for good, as a client with a cache does; and a background task."""

from __future__ import annotations

import asyncio
import logging
import os

import httpx
from fastapi import BackgroundTasks, FastAPI

app = FastAPI()
loops: set[asyncio.Task[None]] = set()
turns = 0
log = logging.getLogger("loops")
logging.basicConfig(level=logging.INFO)


async def turn() -> None:
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{os.environ['PEER']}/headers")
    log.info("turn %s", answer.json()["traceparent"])


async def loop() -> None:
    while True:
        await turn()
        await asyncio.sleep(0.1)


@app.get("/health")
async def health() -> None:
    if not loops:
        loops.add(asyncio.create_task(loop()))


@app.get("/begin")
async def begin(tasks: BackgroundTasks) -> None:
    tasks.add_task(turn)
