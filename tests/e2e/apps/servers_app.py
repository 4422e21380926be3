"""Served by every server. Each line of its own has the path of the request in it."""

import asyncio
import logging
import sys

from fastapi import FastAPI

logging.basicConfig(level=logging.INFO, stream=sys.stdout, force=True)  # daphne has set one up
log = logging.getLogger("servers")
app = FastAPI()


@app.get("/work/{number}")
async def work(number: int) -> None:
    log.info("/work/%d begins", number)
    await asyncio.sleep(0.01 * (number % 3))
    log.info("/work/%d ends", number)


@app.get("/fail")
async def fail() -> None:
    log.info("/fail begins")
    raise ValueError("/fail")
