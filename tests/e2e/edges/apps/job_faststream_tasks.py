"""faststream's subscribers, over a list, a channel and a stream of Redis, and how a message is published."""

from __future__ import annotations

import os

import job_work
from faststream import FastStream
from faststream.redis import RedisBroker, StreamSub

broker = RedisBroker(os.environ["REDIS_URL"])
app = FastStream(broker)


@broker.subscriber(list="call")
async def call(order: str) -> None:
    await job_work.run_async("call", order)


@broker.subscriber("channel")
def call_sync(order: str) -> None:
    job_work.run("channel", order)


@broker.subscriber(stream=StreamSub("stream", last_id="0-0"))  # those, too, that come before it reads
@broker.publisher(list="call")
async def forward(order: str) -> str:
    return await job_work.run_async("stream", order)


@broker.subscriber(list="fail")
async def fail(order: str) -> None:
    await job_work.run_async("fail", order)


async def add(task: str) -> None:
    where = {"channel": "channel"} if task == "channel" else {"stream" if task == "stream" else "list": task}
    await broker.connect()
    await broker.publish("order-1", **where)
