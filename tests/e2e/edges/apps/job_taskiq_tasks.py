"""taskiq's tasks, and how one is sent."""

from __future__ import annotations

import os

import job_work
import redis
from taskiq import SimpleRetryMiddleware
from taskiq_redis import ListQueueBroker

broker = ListQueueBroker(os.environ["REDIS_URL"])
broker.add_middlewares(SimpleRetryMiddleware())


@broker.task
def call(order: str) -> str:
    return job_work.run("call", order)


@broker.task
async def call_async(order: str) -> str:
    return await job_work.run_async("call_async", order)


@broker.task
async def fail(order: str) -> str:
    return await job_work.run_async("fail", order)


@broker.task(retry_on_error=True, max_retries=3)
async def again(order: str) -> str:
    answer = await job_work.run_async("again", order)
    if job_work.once(redis.Redis.from_url(os.environ["REDIS_URL"]), "again"):
        raise ValueError("try it again")
    return answer


@broker.task(timeout=1)
async def late(order: str) -> None:
    from asyncio import sleep

    await job_work.run_async("late", order)
    await sleep(60)


async def add(task: str) -> None:
    await {"call": call, "call_async": call_async, "fail": fail, "again": again, "late": late}[task].kiq("order-1")
