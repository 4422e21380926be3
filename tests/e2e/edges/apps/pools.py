"""Starts processes within its requests, and gives work to pools that live as long as it does."""

from __future__ import annotations

import asyncio
import multiprocessing
import traceback
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager
from functools import cache
from multiprocessing.pool import Pool, ThreadPool
from typing import TYPE_CHECKING, Any

import jobs
from fastapi import FastAPI

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

METHODS = ("fork", "spawn", "forkserver")


@cache
def executor(method: str) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(method))


@cache
def pool(method: str) -> Pool:
    return multiprocessing.get_context(method).Pool(1)


@cache
def thread_pool() -> ThreadPool:
    return ThreadPool(1)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    yield
    for method in METHODS:
        executor(method).shutdown()
        pool(method).terminate()


app = FastAPI(lifespan=lifespan)


def process(method: str, name: str) -> str:
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    started = context.Process(target=jobs.put, args=(queue, name))
    started.start()
    answer: str = queue.get(timeout=60)
    started.join()
    return answer


WAYS: dict[str, Callable[[str], Any]] = {
    **{f"process-{method}": lambda name, method=method: process(method, name) for method in METHODS},
    **{
        f"executor-{method}": lambda name, method=method: executor(method).submit(jobs.work, name).result(60)
        for method in METHODS
    },
    **{f"pool-{method}": lambda name, method=method: pool(method).apply(jobs.work, (name,)) for method in METHODS},
    "map": lambda name: pool("fork").map(jobs.work, [name])[0],
    "imap": lambda name: next(pool("fork").imap(jobs.work, [name])),
    "starmap": lambda name: pool("fork").starmap(jobs.work, [(name,)])[0],
    "executor-map": lambda name: next(iter(executor("fork").map(jobs.work, [name]))),
    "thread-pool": lambda name: thread_pool().apply(jobs.work, (name,)),
}


@app.get("/sampled/{way}")
def sampled(way: str) -> str:
    answer: str = WAYS[way](f"sampled-{way}")
    return answer


@app.get("/unsampled/{way}")
async def unsampled(way: str) -> str:
    answer: str = await asyncio.to_thread(WAYS[way], f"unsampled-{way}")
    return answer


@app.get("/failing/{way}")
def failing(way: str) -> str:
    try:
        if way == "executor":
            executor("spawn").submit(jobs.fail, "no").result(60)
        else:
            pool("spawn").apply(jobs.fail, ("no",))
    except ValueError:
        return traceback.format_exc()
    raise AssertionError
