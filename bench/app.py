"""The application that is measured: an ordinary FastAPI service, which knows of tracing in `/attributes` only.

BENCH_ROUTES=500 BENCH_REDIS_URL=redis://127.0.0.1:6379 BENCH_NEXT_URL=http://127.0.0.1:8001 uvicorn app:app
"""

import logging
import os
import random
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import cache

import httpx
import redis.asyncio as redis
from fastapi import FastAPI
from opentelemetry import trace
from pydantic import BaseModel

ROUTES = int(os.environ.get("BENCH_ROUTES", "1"))
REDIS_URL = os.environ.get("BENCH_REDIS_URL", "redis://127.0.0.1:6379")
NEXT_URL = os.environ.get("BENCH_NEXT_URL", "http://127.0.0.1:8001")

if seed := os.environ.get("BENCH_SEED"):
    random.seed(seed)  # ids drawn by chance decide what is sampled: a count of instructions shall repeat


class Message(BaseModel):
    text: str


class Reply(BaseModel):
    text: str
    turn: int


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with httpx.AsyncClient(base_url=NEXT_URL, timeout=10) as next_agent, redis.from_url(REDIS_URL) as store:
        app.state.next_agent = next_agent
        app.state.store = store
        yield


app = FastAPI(lifespan=lifespan)


def _resource(number: int) -> Callable[[str], Awaitable[dict[str, str]]]:
    async def read(item: str) -> dict[str, str]:
        return {"resource": str(number), "item": item}

    return read


# Declared before `/hello`, so that the search for the route walks past all of them.
for _number in range(ROUTES - 1):
    app.get(f"/resource-{_number}/{{item}}/detail")(_resource(_number))


@app.get("/hello")
async def hello() -> dict[str, str]:
    return {"message": "hello"}


def _logger(name: str, formatter: logging.Formatter) -> logging.Logger:
    logger = logging.getLogger(f"bench.{name}")
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(formatter)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    return logger


_lines = _logger("text", logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))


@cache
def _json_lines() -> logging.Logger:
    from pythonjsonlogger.json import JsonFormatter  # by who asks for it only: it is part of what a start costs

    return _logger("json", JsonFormatter("%(asctime)s %(levelname)s %(name)s %(message)s"))


@app.get("/line")
async def line() -> dict[str, str]:
    _lines.info("the order of %s has been taken", "somebody")
    return {"message": "hello"}


@app.get("/json-line")
async def json_line() -> dict[str, str]:
    _json_lines().info("the order of %s has been taken", "somebody")
    return {"message": "hello"}


@app.get("/redis")
async def command() -> dict[str, int]:
    """One Redis command."""
    return {"turn": await app.state.store.incr("bench:turns")}


@app.get("/attributes/{count}")
async def attributes(count: int) -> dict[str, int]:
    """The application sets attributes on the span that it finds, which does nothing in a bare server."""
    span = trace.get_current_span()
    for number in range(count):
        span.set_attribute(f"app.attribute-{number}", f"value-{number}")
    return {"set": count}


@app.get("/hop")
async def hop() -> dict[str, str]:
    """One call over httpx."""
    return {"text": (await app.state.next_agent.get("/echo")).json()["text"]}


@app.post("/chat")
async def chat(message: Message) -> Reply:
    """What an agent does with a message: count it in Redis, ask the next agent, answer."""
    turn = await app.state.store.incr("bench:turns")
    response = await app.state.next_agent.post("/echo", json=message.model_dump())
    response.raise_for_status()
    return Reply(text=response.json()["text"], turn=turn)
