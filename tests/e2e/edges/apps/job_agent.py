"""An agent that gives the work of its requests to the queue of the module that `TASKS` names."""

from __future__ import annotations

import logging
import os
from importlib import import_module
from typing import Any

from fastapi import FastAPI

app = FastAPI()
log = logging.getLogger("agent")
tasks: Any = import_module(os.environ["TASKS"])


@app.get("/sampled/{task}")
@app.get("/unsampled/{task}")
async def add(task: str) -> None:
    log.warning("adding %s", task)
    await tasks.add(task)
