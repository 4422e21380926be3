"""A service whose text format shows no extras, and whose second logger redacts with a formatter."""

import logging
import sys
from typing import Any

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
        careful.exception("refused %s", credentials["password"], extra={"card": credentials["password"]})
    return "ok"
