"""An agent: it answers chat messages, or hands them on to the next agent, and counts in Redis what it has seen.

AGENT_NAME=backend NEXT_URL=http://localhost:8002 REDIS_URL=redis://localhost:6379 uvicorn main:app --port 8001
"""

import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import redis.asyncio as redis
from fastapi import FastAPI, HTTPException, Request
from pydantic import BaseModel

AGENT_NAME = os.environ.get("AGENT_NAME", "agent")
NEXT_URL = os.environ.get("NEXT_URL", "")  # the last agent of the chain has none and answers by itself
REDIS_URL = os.environ.get("REDIS_URL", "redis://localhost:6379")
# Headers of a request that go on to the next agent as they came, as many services do; names with commas between.
FORWARD_HEADERS = os.environ.get("FORWARD_HEADERS", "").lower().replace(",", " ").split()

logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
logger = logging.getLogger("agent")


class Message(BaseModel):
    text: str


class Reply(BaseModel):
    text: str
    hops: list[str]


class ModelError(Exception):
    """The language model behind this agent gave no answer."""


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with httpx.AsyncClient(base_url=NEXT_URL, timeout=10) as next_agent, redis.from_url(REDIS_URL) as store:
        app.state.next_agent = next_agent
        app.state.store = store
        logger.info("%s is ready", AGENT_NAME)
        yield


app = FastAPI(title=AGENT_NAME, lifespan=lifespan)


@app.post("/agents/{name}/chat")
async def chat(name: str, message: Message, request: Request) -> Reply:
    """Bring a message to the agent `name`, from one agent to the next, and the reply back."""
    turn = await app.state.store.incr(f"{AGENT_NAME}:turns")
    logger.info("chat received", extra={"recipient": name, "turn": turn})
    headers = {header: request.headers[header] for header in FORWARD_HEADERS if header in request.headers}
    reply = await ask_next_agent(name, message, headers) if NEXT_URL else await ask_model(message)
    logger.info("chat answered", extra={"recipient": name, "turn": turn})
    return Reply(text=reply.text, hops=[AGENT_NAME, *reply.hops])


@app.post("/agents/{name}/heartbeat", status_code=204)
async def heartbeat(name: str) -> None:
    """Note that the agent `name` is alive; each agent says so every few seconds."""
    await app.state.store.set(f"alive:{name}", 1, ex=30)


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}


async def ask_next_agent(name: str, message: Message, headers: dict[str, str]) -> Reply:
    try:
        response = await app.state.next_agent.post(f"/agents/{name}/chat", json=message.model_dump(), headers=headers)
        response.raise_for_status()
    except httpx.HTTPError as error:
        logger.exception("the next agent did not answer", extra={"recipient": name, "next_url": NEXT_URL})
        raise HTTPException(502, "the next agent did not answer") from error
    return Reply.model_validate(response.json())


async def ask_model(message: Message) -> Reply:
    """Stand in for a language model; one that can be asked to fail."""
    if "fail" in message.text:
        raise ModelError(f"no answer to {message.text!r}")
    return Reply(text=f"You said: {message.text}", hops=[])
