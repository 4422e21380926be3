"""arq's worker, and how a job is added."""

from __future__ import annotations

import os
from typing import Any

from arq import Retry, create_pool
from arq.connections import RedisSettings
from job_work import run_async

REDIS = RedisSettings.from_dsn(os.environ["REDIS_URL"])


async def call_async(_: dict[str, Any], order: str) -> str:
    return await run_async("call_async", order)


async def fail_async(_: dict[str, Any], order: str) -> str:
    return await run_async("fail_async", order)


async def again_async(ctx: dict[str, Any], order: str) -> str:
    answer = await run_async("again_async", order)
    if ctx["job_try"] == 1:
        raise Retry
    return answer


async def late_async(_: dict[str, Any], order: str) -> None:
    from asyncio import sleep

    await run_async("late_async", order)
    await sleep(60)


class WorkerSettings:
    functions = (call_async, fail_async, again_async, late_async)
    redis_settings = REDIS
    poll_delay = 0.1
    job_timeout = 2
    keep_result = 0


async def add(task: str) -> None:
    pool = await create_pool(REDIS)
    await pool.enqueue_job(task, "order-1")
    await pool.aclose()
