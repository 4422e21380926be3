"""An agent that calls another by A2A."""

from __future__ import annotations

import logging

import a2a_card
from fastapi import FastAPI

app = FastAPI()
log = logging.getLogger("caller")


@app.get("/sampled/{binding}/{style}/{text}")
@app.get("/unsampled/{binding}/{style}/{text}")
async def call(binding: str, style: str, text: str) -> str:
    try:
        found = await a2a_card.send(text, binding, stream=style == "stream")
        events = [type(event).__name__ for event in found]
    except Exception as error:  # noqa: BLE001 (what the other agent answers is no failure of this one)
        events = [type(error).__name__]
    log.warning("called %s", events)
    return " ".join(events)


@app.get("/sampled/ask")
async def ask() -> dict[str, str]:
    """Begin a task that wants to be told more."""
    (event,) = await a2a_card.send("ask", "JSONRPC", stream=False)
    log.warning("asked")
    task = event.task if a2a_card.IS_NEW else event[0]
    return {"task_id": task.id, "context_id": task.context_id}


@app.get("/sampled/finish")
async def finish(task_id: str, context_id: str) -> None:
    await a2a_card.send("finish", "JSONRPC", stream=False, task_id=task_id, context_id=context_id)
    log.warning("finished")
