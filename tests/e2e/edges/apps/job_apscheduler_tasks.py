"""An agent with a scheduler of its own, whose jobs requests add; `SCHEDULER` says which, `STORE` where jobs wait."""

from __future__ import annotations

import logging
import os
from contextlib import asynccontextmanager
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import job_work
from apscheduler.executors.pool import ProcessPoolExecutor
from apscheduler.jobstores.redis import RedisJobStore
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.schedulers.background import BackgroundScheduler
from fastapi import FastAPI

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

log = logging.getLogger("agent")
logging.basicConfig(level=logging.INFO)


def call() -> None:
    job_work.run("call", "order-1")


async def call_async() -> None:
    await job_work.run_async("call_async", "order-1")


def fail() -> None:
    job_work.run("fail", "order-1")


def begun() -> None:
    job_work.run("begun", "order-1")


def _scheduler() -> Any:
    kind = AsyncIOScheduler if os.environ["SCHEDULER"] == "asyncio" else BackgroundScheduler
    port = int(os.environ["REDIS_URL"].rpartition(":")[2].partition("/")[0])
    made = kind(jobstores={"default": RedisJobStore(port=port)} if os.environ.get("STORE") else {})
    made.add_executor(ProcessPoolExecutor(1), "processes")
    return made


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    scheduler = app.state.scheduler = _scheduler()
    scheduler.start()
    scheduler.add_job(begun, misfire_grace_time=60)
    yield
    scheduler.shutdown()


app = FastAPI(lifespan=lifespan)


@app.get("/sampled/{task}")
@app.get("/unsampled/{task}")
async def add(task: str, executor: str = "default") -> None:
    log.warning("adding %s", task)
    soon = datetime.now(timezone.utc) + timedelta(seconds=0.1)
    func = {"call": call, "call_async": call_async, "fail": fail}[task]
    end = soon + timedelta(seconds=0.45)  # two runs
    app.state.scheduler.add_job(
        *(func, "interval"),
        seconds=0.4,
        next_run_time=soon,
        end_date=end,
        executor=executor,
        max_instances=3,
        misfire_grace_time=60,
        coalesce=False,
    )
