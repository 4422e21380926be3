"""A shop. SETUP names the function of setup_logging.py that it calls, WHEN says at which moments."""

import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import setup_logging
from fastapi import FastAPI

configure = getattr(setup_logging, os.environ.get("SETUP", "nothing"))
moments = os.environ.get("WHEN", "import").split("+")
log = logging.getLogger("shop")


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    if "lifespan" in moments:
        configure()
    yield
    log.warning("closing")
    setup_logging.stop_listening()


if "import" in moments:
    configure()
app = FastAPI(lifespan=lifespan)


@app.get("/orders/{number}")
async def order(number: int) -> int:
    log.warning("order %d taken", number, extra={"room": 7})
    return number


@app.get("/broken")
def broken() -> str:
    try:
        return str(1 / 0)
    except ZeroDivisionError:
        log.exception("that was\nnot good")
        return "broken"


@app.get("/own")
async def own() -> str:
    log.warning("an id of our own", extra={"trace_id": "mine-1"})
    return "own"


@app.get("/print")
async def printing() -> str:
    print("printed as it is")  # noqa: T201
    return "printed"
