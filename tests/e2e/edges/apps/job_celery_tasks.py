"""celery's tasks, and how one is published."""

from __future__ import annotations

import os
from typing import Any

import job_work
import redis
from celery import Celery, chain, chord

app = Celery("job_celery_tasks", broker=os.environ["REDIS_URL"], backend=os.environ["REDIS_URL"])
app.conf.broker_connection_retry_on_startup = True


@app.task
def call(order: str) -> str:
    return job_work.run("call", order)


@app.task
def fail(order: str) -> str:
    return job_work.run("fail", order)


@app.task(bind=True)
def again(self: Any, order: str) -> str:
    answer = job_work.run("again", order)
    if job_work.once(redis.Redis.from_url(os.environ["REDIS_URL"]), "again"):
        raise self.retry(countdown=0.1)
    return answer


@app.task
def join(orders: list[str]) -> str:
    return job_work.run("join", orders[0])


@app.task(soft_time_limit=1)
def late(order: str) -> None:
    import time

    job_work.run("late", order)
    while True:
        time.sleep(0.01)


async def add(task: str) -> None:
    if task == "chain":
        chain(call.s("order-1"), call.s()).delay()
    elif task == "chord":
        chord([call.s("order-1"), call.s("order-1")], join.s()).delay()
    elif task == "eager":
        call.apply(("order-1",))
    else:
        {"call": call, "fail": fail, "again": again, "late": late}[task].delay("order-1")
