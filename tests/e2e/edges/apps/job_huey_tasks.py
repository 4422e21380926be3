"""huey's tasks, and how one is added."""

from __future__ import annotations

import os
import sys

if "greenlet" in sys.argv:
    from gevent import monkey

    monkey.patch_all()

import job_work
from huey import RedisHuey
from huey.exceptions import RetryTask

huey = RedisHuey(url=os.environ["REDIS_URL"])


@huey.task()
def call(order: str) -> str:
    return job_work.run("call", order)


@huey.task()
def fail(order: str) -> str:
    return job_work.run("fail", order)


@huey.task(retries=1)
def again(order: str) -> str:
    answer = job_work.run("again", order)
    if job_work.once(huey.storage.conn, "again"):
        raise RetryTask
    return answer


async def add(task: str) -> None:
    {"call": call, "fail": fail, "again": again}[task]("order-1")
