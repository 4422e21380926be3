"""A service whose text format shows no extras, and whose other loggers redact: in a formatter, a handler, a stream."""

import logging
import sys
from typing import Any

import loguru
from fastapi import FastAPI, Request

logging.basicConfig(format="%(levelname)s %(message)s", level=logging.INFO, stream=sys.stdout)
log = logging.getLogger("shop")

redacting = logging.StreamHandler(sys.stdout)
redacting.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
original = redacting.formatter.format  # type: ignore[union-attr]
redacting.formatter.format = lambda record: original(record).replace("hunter2", "***")  # type: ignore[union-attr,method-assign]
careful = logging.getLogger("careful")
careful.propagate = False
careful.addHandler(redacting)


class Handler(logging.StreamHandler):  # type: ignore[type-arg]
    def emit(self, record: logging.LogRecord) -> None:
        self.stream.write(self.format(record).replace("hunter2", "***") + "\n")
        self.flush()


class Stream:
    def write(self, text: str) -> None:
        sys.stdout.write(text.replace("hunter2", "***"))

    def flush(self) -> None:
        sys.stdout.flush()


def in_loguru(record: "loguru.Record") -> str:
    record["extra"]["safe"] = record["message"].replace("hunter2", "***")
    return "LOGURU {extra[safe]}\n"


for name, handler in (("handler", Handler(sys.stdout)), ("stream", logging.StreamHandler(Stream()))):
    handler.setFormatter(logging.Formatter("%(name)s %(message)s"))
    logging.getLogger(name).propagate = False
    logging.getLogger(name).addHandler(handler)
loguru.logger.remove()
loguru.logger.add(logging.StreamHandler(sys.stdout), format=in_loguru)

app = FastAPI()


@app.post("/login")
async def login(request: Request) -> str:
    credentials: dict[str, Any] = await request.json()
    log.info("mapping", extra={"headers": dict(request.headers), **credentials})
    log.info(
        "pairs",
        extra={"headers": request.headers.items(), "raw": request.headers.raw, "scope": request.scope["headers"]},
    )
    log.info("object", extra={"headers": request.headers, "body": {"deep": [credentials]}, "prompt_tokens": 7})
    log.info({"message": "dict", **credentials})
    try:
        raise ValueError(credentials["password"])
    except ValueError:
        for name in ("handler", "stream"):
            logging.getLogger(name).exception("refused %s", "hunter2", extra={"card": "hunter2"})
        loguru.logger.bind(card="hunter2").exception("refused {}", "hunter2")
        careful.exception("refused %s", credentials["password"], extra={"card": credentials["password"]})
    return "ok"
