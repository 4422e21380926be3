"""Workers as people write them, `python redis_worker.py stream|list|channel sync|async`: a job is a call."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from typing import Any

import httpx
import redis
import redis.asyncio

log = logging.getLogger("worker")
logging.basicConfig(level=logging.INFO)
PEER = f"{os.environ['PEER']}/headers"


def outcome(name: str, answer: httpx.Response) -> None:
    log.info("called for %s: %s", name, answer.json()["traceparent"])
    if name == "failing":
        raise ValueError("no such job")


def handle(name: str) -> None:
    outcome(name, httpx.get(PEER))


async def handle_async(name: str) -> None:
    async with httpx.AsyncClient() as http:
        outcome(name, await http.get(PEER))


def stream(client: Any) -> None:
    client.xgroup_create("stream-sync", "workers", "0", mkstream=True)
    while True:
        for _, messages in client.xreadgroup("workers", "me", {"stream-sync": ">"}, count=10, block=1000):
            for key, fields in messages:
                try:
                    handle(fields[b"name"].decode())
                except ValueError:
                    log.exception("failed")
                client.xack("stream-sync", "workers", key)


async def stream_async(client: Any) -> None:
    await client.xgroup_create("stream-async", "workers", "0", mkstream=True)
    while True:
        response = await client.xreadgroup("workers", "me", {"stream-async": ">"}, count=10, block=1000)
        jobs = (one(client, *message) for _, messages in response for message in messages)
        for error in await asyncio.gather(*jobs, return_exceptions=True):
            if error is not None:
                log.warning("failed: %r", error)


async def one(client: Any, key: bytes, fields: dict[bytes, bytes]) -> None:
    await handle_async(fields[b"name"].decode())
    await client.xack("stream-async", "workers", key)


def pop(client: Any) -> None:
    while True:
        found = client.blpop(["list-sync"], timeout=1)
        if found is not None:
            try:
                handle(json.loads(found[1])["name"])
            except ValueError:
                log.exception("failed")


async def pop_async(client: Any) -> None:
    while True:
        found = await client.blpop(["list-async"], timeout=1)
        if found is not None:
            try:
                await handle_async(json.loads(found[1])["name"])
            except ValueError:
                log.exception("failed")


def listen(client: Any) -> None:
    pubsub = client.pubsub(ignore_subscribe_messages=True)
    pubsub.subscribe("channel-sync")
    messages = pubsub.listen()
    while True:
        message = next(messages)
        try:
            handle(json.loads(message["data"])["name"])
        except ValueError:
            log.exception("failed")


async def listen_async(client: Any) -> None:
    async with client.pubsub() as pubsub:
        await pubsub.subscribe("channel-async")
        while True:
            message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=1)
            if message is not None:
                try:
                    await handle_async(json.loads(message["data"])["name"])
                except ValueError:
                    log.exception("failed")


def main() -> None:
    what, style = sys.argv[1:]
    url = os.environ["REDIS_URL"]
    if style == "sync":
        {"stream": stream, "list": pop, "channel": listen}[what](redis.Redis.from_url(url))
    else:
        work = {"stream": stream_async, "list": pop_async, "channel": listen_async}[what]
        asyncio.run(work(redis.asyncio.Redis.from_url(url)))


main()
