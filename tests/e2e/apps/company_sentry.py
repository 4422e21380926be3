"""An application that reports its errors and traces to Sentry."""

from __future__ import annotations

import os

import sentry_sdk
from fastapi import FastAPI

sentry_sdk.init(dsn=os.environ["COMPANY_DSN"], traces_sample_rate=1.0)
app = FastAPI()


@app.get("/work")
async def work() -> str:
    return "done"


@app.get("/fail")
async def fail() -> None:
    raise ValueError("for Sentry to see")
