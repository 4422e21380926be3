"""One call by each client, and then a failure. PEER and REDIS_URL say whom there is to call."""

import asyncio
import os
import sqlite3

import aiohttp
import httpx
import redis
import redis.asyncio
import requests
import urllib3
from fastapi import FastAPI

app = FastAPI()
PEER = f"{os.environ['PEER']}/health?token=secret"
REDIS_URL = os.environ["REDIS_URL"]


async def call(client: str, url: str) -> None:
    if client == "httpx":
        await asyncio.to_thread(httpx.get, url)
    elif client == "httpx_async":
        async with httpx.AsyncClient() as http_async:
            await http_async.get(url)
    elif client == "requests":
        await asyncio.to_thread(requests.get, url, timeout=10)
    elif client == "urllib3":
        await asyncio.to_thread(urllib3.PoolManager().request, "GET", url)
    elif client == "aiohttp":
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            await answer.read()
    elif client == "redis":
        with redis.Redis.from_url(REDIS_URL) as store:
            store.set("key", "a secret value")
    elif client == "redis_async":
        async with redis.asyncio.Redis.from_url(REDIS_URL) as store_async:
            await store_async.get("key")
    elif client == "redis_pipeline":
        with redis.Redis.from_url(REDIS_URL) as store, store.pipeline() as pipeline:
            pipeline.set("key", "a secret value").get("key").execute()
    elif client == "sqlite3":
        connection = sqlite3.connect(":memory:")
        connection.cursor().execute("SELECT 1")
        connection.close()


@app.get("/sampled/{client}")
@app.get("/unsampled/{client}")
async def fail(client: str) -> None:
    await call(client, PEER)
    raise RuntimeError("on purpose")
