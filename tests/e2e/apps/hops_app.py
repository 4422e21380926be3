"""One hop of a chat: reads its memory in Redis, asks a sibling, then the next hop; the last one fails when asked to.

NEXT, SIBLING and REDIS_URL say what there is; HANDLES=1 makes it answer 200 whatever the next one says.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import redis.asyncio
from fastapi import FastAPI, HTTPException

NEXT, SIBLING, REDIS_URL = (os.environ.get(name) for name in ("NEXT", "SIBLING", "REDIS_URL"))


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with httpx.AsyncClient(timeout=20) as app.state.client:
        app.state.redis = redis.asyncio.from_url(REDIS_URL) if REDIS_URL else None
        yield
        if app.state.redis is not None:
            await app.state.redis.aclose()


app = FastAPI(lifespan=lifespan)


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}


@app.get("/chat/{number}")
async def chat(number: int, fails: str = "") -> dict[str, int]:
    if app.state.redis is not None:
        await app.state.redis.get(f"memory:{number}")
    if SIBLING is not None:
        (await app.state.client.get(f"{SIBLING}/chat/{number}")).raise_for_status()
    if NEXT is not None:
        answer = await app.state.client.get(f"{NEXT}/chat/{number}", params={"fails": fails})
        if answer.status_code >= 500:
            if "HANDLES" not in os.environ:
                raise HTTPException(502, "the next agent did not answer")
            await app.state.client.get(f"{SIBLING}/chat/{number}")
    elif fails:
        raise HTTPException(500, "on purpose")  # no other exception, after which uvicorn closes the connection
    return {"number": number}
