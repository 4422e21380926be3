"""An application that logs extras which its text format does not show."""

import logging

from fastapi import FastAPI, Request

logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
app = FastAPI()


@app.get("/")
async def root(request: Request) -> None:
    headers = dict(request.headers)
    logging.getLogger("app").info(
        "asked", extra={"headers": headers, "raw": request.scope["headers"], "password": "p4ss"}
    )
