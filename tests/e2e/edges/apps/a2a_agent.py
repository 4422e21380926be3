"""An A2A agent that calls the next service, fails, or raises, as a message tells it; by every binding of its SDK."""

from __future__ import annotations

import logging
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import a2a_card
import grpc
import httpx
from a2a.server.agent_execution import AgentExecutor
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
from a2a.utils.telemetry import trace_function
from fastapi import FastAPI

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

log = logging.getLogger("agent")


@trace_function
def weigh(text: str) -> int:
    """What an application decorates by itself stays traced."""
    return len(text)


class Executor(AgentExecutor):
    async def execute(self, context: Any, event_queue: Any) -> None:
        text = context.get_user_input()
        weigh(text)
        async with httpx.AsyncClient() as client:
            answer = await client.get(f"{os.environ['PEER']}/headers")
        log.warning("told to %s, %s", text, answer.json()["traceparent"])
        if text == "raise":
            raise ValueError("no such order")
        if text == "call":
            await event_queue.enqueue_event(a2a_card.answer("done"))
            return
        updater = TaskUpdater(event_queue, context.task_id, context.context_id)
        if text == "finish":
            await updater.complete()
            return
        await event_queue.enqueue_event(a2a_card.task(context))
        await (updater.requires_input() if text == "ask" else updater.failed())

    async def cancel(self, context: Any, event_queue: Any) -> None:
        raise NotImplementedError


card = a2a_card.card()
store = InMemoryTaskStore()
handler = (
    DefaultRequestHandler(Executor(), store, card)
    if a2a_card.IS_NEW
    else DefaultRequestHandler(agent_executor=Executor(), task_store=store)
)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    from a2a.server.request_handlers import GrpcHandler

    server = grpc.aio.server()
    a2a_card.add_to_grpc(GrpcHandler, card, handler, server)
    server.add_insecure_port(os.environ["A2A_GRPC"])
    await server.start()
    yield
    await server.stop(0)


app = FastAPI(lifespan=lifespan)
a2a_card.add_to_app(app, card, handler)
