"""An agent that hands work to others over Redis: a stream's message, a value in a list, a publication."""

from __future__ import annotations

import os
from typing import Any

import redis.asyncio
from fastapi import FastAPI

app = FastAPI()
client = redis.asyncio.Redis.from_url(os.environ["REDIS_URL"])


@app.post("/send/{name}")
async def send(name: str) -> dict[str, Any]:
    for style in ("sync", "async"):
        await client.xadd(f"stream-{style}", {"name": name})
        await client.publish(f"channel-{style}", f'{{"name": "{name}"}}')
        await client.rpush(f"list-{style}", f'{{"name": "{name}"}}')
    return {}
