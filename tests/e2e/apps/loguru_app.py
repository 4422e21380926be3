"""A service that logs with loguru, to one sink of each kind. Files go to the directory DIRECTORY."""

import inspect
import json
import logging
import os
import sys
from typing import Any

from fastapi import FastAPI
from loguru import logger

files = os.environ.get("DIRECTORY", ".")
TEXT = "{name} {level} {message} {extra}"


class InterceptHandler(logging.Handler):
    """What loguru's README recommends."""

    def emit(self, record: logging.LogRecord) -> None:
        frame, depth = inspect.currentframe(), 0
        while frame and (depth == 0 or frame.f_code.co_filename == logging.__file__):
            frame = frame.f_back
            depth += 1
        logger.opt(depth=depth, exception=record.exc_info).log(record.levelname, record.getMessage())


def own_json(record: Any) -> str:
    record["extra"]["made"] = json.dumps({"m": record["message"], "lvl": record["level"].name})
    return "{extra[made]}\n"


def show(message: Any) -> None:
    record = message.record
    print("function", json.dumps({"m": record["message"], **record["extra"]}))  # noqa: T201


async def show_later(message: Any) -> None:
    print("coroutine", message, end="")  # noqa: T201


def only(name: str) -> Any:
    return lambda record: record["extra"].get("sink", name) == name


logger.info("starting with the default sink")
logger.remove()
logger.add(sys.stdout, format=TEXT, filter=only("text"))
logger.add(sys.stdout, format=TEXT, filter=only("coloured"), colorize=True)
logger.add(f"{files}/queued.log", format=TEXT, filter=only("queued"), enqueue=True)
logger.add(sys.stdout, format="{message}", filter=only("serialized"), serialize=True)
logger.add(sys.stdout, format=own_json, filter=only("own"))
logger.add(show, format="{message}", filter=lambda record: record["extra"].get("sink") == "function")
logger.add(show_later, format="{message}", filter=lambda record: record["extra"].get("sink") == "coroutine")
logger.add(logging.StreamHandler(sys.stdout), format=TEXT, filter=only("handler"))
logger.add(f"{files}/loguru.log", format=TEXT, rotation="1 MB", filter=only("file"))
logging.getLogger("foreign").addHandler(InterceptHandler())
SINKS = ("text", "coloured", "queued", "serialized", "own", "function", "coroutine", "handler", "file")
for name in SINKS:
    logger.bind(sink=name).info("starting")
app = FastAPI()


@app.get("/work")
async def work() -> str:
    with logger.contextualize(job=7):
        for name in SINKS:
            logger.bind(sink=name).warning("working on {}", name)
    with logger.contextualize(sink="text"):
        logging.getLogger("foreign").warning("%s by another library", "working")
        logger.opt(raw=True).info("50 % ... done\n")
    await logger.complete()
    return "done"


@app.get("/thread")
def thread() -> str:
    for name in SINKS:
        logger.bind(sink=name).info("in a thread")
    return "done"


@app.get("/broken")
@logger.catch(default="broken")
def broken() -> str:
    logger.bind(sink="text").info("dividing")
    return str(1 / 0)
