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
        events = await a2a_card.send(text, binding, stream=style == "stream")
    except Exception as error:  # noqa: BLE001 (what the other agent answers is no failure of this one)
        events = [type(error).__name__]
    log.warning("called %s", events)
    return " ".join(events)
