"""dramatiq's actors, and how a message is sent."""

from __future__ import annotations

import os

import dramatiq
import job_work
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import AsyncIO

broker = RedisBroker(url=os.environ["REDIS_URL"])
broker.add_middleware(AsyncIO())
dramatiq.set_broker(broker)


@dramatiq.actor(max_retries=0)
def call(order: str) -> None:
    job_work.run("call", order)


@dramatiq.actor(max_retries=0)
async def call_async(order: str) -> None:
    await job_work.run_async("call_async", order)


@dramatiq.actor(max_retries=0)
def fail(order: str) -> None:
    job_work.run("fail", order)


@dramatiq.actor(max_retries=1, min_backoff=10)
def again(order: str) -> None:
    job_work.run("again", order)
    if job_work.once(broker.client, "again"):
        raise dramatiq.errors.Retry(delay=10)


@dramatiq.actor(max_retries=0, time_limit=1000)
def late(order: str) -> None:
    import time

    job_work.run("late", order)
    while True:
        time.sleep(0.01)


async def add(task: str) -> None:
    broker.get_actor(task).send("order-1")
