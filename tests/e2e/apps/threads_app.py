"""Work in threads, started every way there is. Each line begins with the path of the request that it belongs to."""

import asyncio
import contextvars
import json
import logging
import sys
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.pool import ThreadPool
from typing import Any

from fastapi import BackgroundTasks, FastAPI

logging.basicConfig(level=logging.INFO, stream=sys.stdout)
log = logging.getLogger("threads")
app = FastAPI()
own_variable: contextvars.ContextVar[str] = contextvars.ContextVar("own", default="unset")
executor = ThreadPoolExecutor(1, initializer=lambda: own_variable.set("by the initializer"))
released = threading.Event()
ended: dict[str, Any] = {}


@app.get("/thread")
def thread() -> None:
    one = threading.Thread(target=log.info, args=("/thread in a thread",))
    one.start()
    one.join()
    assert "_bootstrap_inner" not in vars(one)


class Work(threading.Thread):
    def run(self) -> None:
        log.info("/subclass in its run")
        another = threading.Thread(target=log.info, args=("/subclass in a thread of the thread",))
        another.start()
        another.join()


@app.get("/subclass")
async def subclass() -> None:
    one = Work()
    one.start()
    await asyncio.to_thread(one.join)


@app.get("/timer")
async def timer() -> None:
    one = threading.Timer(0.01, log.info, ("/timer when it is time",))
    one.start()
    await asyncio.to_thread(one.join)


@app.get("/executor")
async def in_executor() -> None:
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, log.info, "/executor of the loop")
    await loop.run_in_executor(executor, log.info, "/executor of the application's own")


@app.get("/submit")
def submit() -> str:
    executor.submit(log.info, "/submit in a thread").result()
    return executor.submit(own_variable.get).result()


@app.get("/traceback")
def of_failure() -> list[str]:
    error = executor.submit(int, "x").exception()
    return [frame.filename.rpartition("/")[2] for frame in traceback.extract_tb(error.__traceback__)]


def idle(name: str) -> None:
    log.info("(%s) on its own", name)


@app.get("/pools")
def pools() -> None:
    """Workers of pools start here, and go on to do what no request asked for."""
    with ThreadPool(1, initializer=idle, initargs=("pool",)):
        pass
    with ThreadPoolExecutor(1, initializer=idle, initargs=("executor",)) as short:
        short.submit(bool).result()


@app.get("/outlives")
async def outlives() -> None:
    """What runs on for long; /release has it log once more."""

    def in_thread() -> None:
        log.info("/outlives thread at first")
        released.wait()
        log.info("(outlives) thread")

    async def in_task() -> None:
        log.info("/outlives task at first")
        await asyncio.to_thread(released.wait)
        log.info("(outlives) task")

    executor.submit(in_thread)
    one = threading.Thread(target=in_thread)
    one.start()
    ended.update(thread=one, task=asyncio.create_task(in_task()))


@app.get("/background")
async def background(tasks: BackgroundTasks) -> None:
    def task() -> None:
        log.info("/background at first")
        released.wait()
        log.info("(outlives) background")

    log.info("(handler) background")
    tasks.add_task(task)


@app.get("/release")
async def release() -> None:
    released.set()
    await asyncio.to_thread(ended["thread"].join)
    await ended["task"]
    await asyncio.to_thread(executor.submit(bool).result)


@app.get("/patched")
def patched() -> str:
    from tracebaton_configurator.patching.registry import outcome

    return json.dumps([outcome("threads"), outcome("executors")])
