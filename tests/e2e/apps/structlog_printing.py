"""A service that logs with structlog alone: one logger for each way of printing."""

import json
import sys
from collections.abc import Callable
from typing import Any

import structlog
from fastapi import FastAPI

shared = [structlog.contextvars.merge_contextvars, structlog.processors.add_log_level]


def redact(_: Any, __: str, event_dict: dict[str, Any]) -> dict[str, Any]:
    return {**event_dict, "password": "***"}


def to_bytes(event_dict: dict[str, Any], **_: Any) -> bytes:
    return json.dumps(event_dict).encode()


def sentence(_: Any, __: str, event_dict: dict[str, Any]) -> str:
    return f"{event_dict['setup']}: {event_dict['event']}\nand more"


def logger(output: Any, *processors: Callable[..., Any]) -> Any:
    return structlog.wrap_logger(
        output, [*shared, *processors], structlog.make_filtering_bound_logger("INFO"), cache_logger_on_first_use=True
    )


write = structlog.WriteLogger(sys.stdout)
loggers = {
    "console": logger(structlog.PrintLogger(), structlog.dev.ConsoleRenderer(colors=False)),
    "coloured": logger(structlog.PrintLogger(), redact, structlog.dev.ConsoleRenderer(colors=True)),
    "key-value": logger(write, structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer()),
    "logfmt": logger(write, structlog.processors.format_exc_info, structlog.processors.LogfmtRenderer()),
    "sentence": logger(write, sentence),
    "json": logger(write, structlog.processors.format_exc_info, structlog.processors.JSONRenderer()),
    "bytes": logger(structlog.BytesLogger(), structlog.processors.JSONRenderer(serializer=to_bytes)),
}
for name, log in loggers.items():
    log.info("starting", setup=name)
app = FastAPI()


@app.get("/work")
async def work() -> str:
    structlog.contextvars.bind_contextvars(job=7)
    for name, log in loggers.items():
        log.bind(setup=name).warning("working", password="hunter2")  # noqa: S106
        await log.ainfo("working elsewhere", setup=name)
    return "done"


@app.get("/thread")
def thread() -> str:
    for name, log in loggers.items():
        log.info("in a thread", setup=name)
    return "done"


@app.get("/broken")
async def broken() -> str:
    try:
        return str(1 / 0)
    except ZeroDivisionError:
        for name in ("console", "key-value", "json"):
            loggers[name].exception("that was\nnot good", setup=name)
        return "broken"
