"""Gives work of its requests to threads, in every way that there is for it."""

from __future__ import annotations

import asyncio
import queue
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from multiprocessing.pool import ThreadPool

import jobs
from fastapi import FastAPI

app = FastAPI()
executor = ThreadPoolExecutor(1)
pool = ThreadPool(1)


def in_thread(name: str) -> str:
    answers: queue.Queue[str] = queue.Queue()
    jobs_done = threading.Thread(target=lambda: answers.put(jobs.work(name)))
    jobs_done.start()
    jobs_done.join()
    return answers.get()


def by_submit(name: str) -> str:
    future = executor.submit(jobs.work, name)
    wait([future])
    return future.result()


async def by_executor(name: str) -> str:
    return await asyncio.get_running_loop().run_in_executor(None, jobs.work, name)


async def by_to_thread(name: str) -> str:
    return await asyncio.to_thread(jobs.work, name)


SYNC = {
    "thread": in_thread,
    "submit": by_submit,
    "map": lambda name: next(iter(executor.map(jobs.work, [name]))),
    "pool-map": lambda name: pool.map(jobs.work, [name])[0],
}
ASYNC = {"run_in_executor": by_executor, "to_thread": by_to_thread}


@app.get("/sampled/{way}")
@app.get("/unsampled/{way}")
async def start(way: str) -> str:
    return SYNC[way](way) if way in SYNC else await ASYNC[way](way)
