"""A service that sends structlog through the standard library, set up when it starts. RENDERER: console or json."""

import logging.config
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from fastapi import FastAPI

log = structlog.get_logger("shop")
shared = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
]
wrap = structlog.stdlib.ProcessorFormatter.wrap_for_formatter
rendered = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
renderers = {"console": structlog.dev.ConsoleRenderer(colors=True), "json": structlog.processors.JSONRenderer()}


def configure() -> None:
    formatter = structlog.stdlib.ProcessorFormatter(
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            renderers[os.environ.get("RENDERER", "console")],
        ],
        foreign_pre_chain=shared,
    )
    handlers = {
        "out": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "structlog"},
        "message": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout"},
    }
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"structlog": {"()": lambda: formatter}},
            "handlers": handlers,
            "loggers": {"messages": {"handlers": ["message"], "propagate": False}},
            "root": {"handlers": ["out"], "level": "INFO"},
        }
    )
    structlog.configure(
        processors=[*shared, wrap],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    configure()
    log.info("starting", setup="structlog")
    yield


app = FastAPI(lifespan=lifespan)


@app.get("/work")
async def work() -> str:
    log.warning("working", setup="structlog", room=7)
    logging.getLogger("foreign").warning("%s by another library", "working")
    # As with an older configuration: the message is JSON already, and the handler prints messages.
    older = structlog.wrap_logger(logging.getLogger("messages"), [*shared, *rendered], structlog.stdlib.BoundLogger)
    older.warning("working", setup="message")
    plain = [*shared, structlog.stdlib.render_to_log_kwargs]
    structlog.wrap_logger(logging.getLogger("messages"), plain, structlog.stdlib.BoundLogger).warning(
        "working", setup="kwargs"
    )
    return "done"
