"""rq's jobs, and how one is added."""

from __future__ import annotations

import os
from typing import Any

import job_work
from redis import Redis
from rq import Queue
from rq.job import Retry

QUEUE = Queue(connection=Redis.from_url(os.environ["REDIS_URL"]))


def call(order: str) -> str:
    return job_work.run("call", order)


async def call_async(order: str) -> str:
    return await job_work.run_async("call_async", order)


def fail(order: str) -> str:
    return job_work.run("fail", order)


def again(order: str) -> str:
    answer = job_work.run("again", order)
    if job_work.once(QUEUE.connection, "again"):
        raise ValueError("try it again")
    return answer


async def add(task: str) -> None:
    options: dict[str, Any] = {"retry": Retry(max=1)} if task == "again" else {}
    QUEUE.enqueue(f"job_rq_tasks.{task}", "order-1", **options)
