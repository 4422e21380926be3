"""What stands for a model: OpenAI's chat completions and responses, Anthropic's messages and Google's generateContent.

Every answer costs 11 tokens and 7 more. The model `broken` answers 500.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, StreamingResponse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastapi import Response

app = FastAPI()
TEXT = "the-completion"
CHAT = {"id": "chat-1", "created": 1, "model": "model-1"}
CHAT_USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
RESPONSE_USAGE = {
    "input_tokens": 11,
    "output_tokens": 7,
    "total_tokens": 18,
    "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
    "output_tokens_details": {"reasoning_tokens": 0},
}
RESPONSE = {
    "id": "resp-1",
    "object": "response",
    "created_at": 1,
    "status": "completed",
    "model": "model-1",
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
    "usage": RESPONSE_USAGE,
    "output": [
        {
            "type": "message",
            "id": "msg-1",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": TEXT, "annotations": []}],
        }
    ],
}
MESSAGE = {"id": "msg-1", "type": "message", "role": "assistant", "model": "model-1", "stop_sequence": None}


received: list[str] = []


@app.get("/traceparents")
async def traceparents() -> list[str]:
    """Those of the calls since this was asked last."""
    found = received.copy()
    received.clear()
    return found


@app.middleware("http")
async def fail(request: Request, call_next: Any) -> Response:
    if request.method == "POST":
        received.append(request.headers.get("traceparent", ""))
    if b"broken" in await request.body():
        return JSONResponse({"error": {"message": "out of order", "type": "server_error"}}, 500)
    return await call_next(request)  # type: ignore[no-any-return]


@app.post("/v1/chat/completions")
async def chat(request: Request) -> Response:
    if not (await request.json()).get("stream"):
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": TEXT}}
        return JSONResponse({**CHAT, "object": "chat.completion", "choices": [choice], "usage": CHAT_USAGE})
    chunk = {**CHAT, "object": "chat.completion.chunk"}
    delta = {"role": "assistant", "content": TEXT}
    return events(
        {**chunk, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
        {**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {**chunk, "choices": [], "usage": CHAT_USAGE},
    )


@app.post("/v1/responses")
async def responses() -> dict[str, Any]:
    return RESPONSE


@app.post("/v1/messages")
async def messages(request: Request) -> Response:
    usage = {"input_tokens": 11, "output_tokens": 7}
    if not (await request.json()).get("stream"):
        content = [{"type": "text", "text": TEXT}]
        return JSONResponse({**MESSAGE, "content": content, "stop_reason": "end_turn", "usage": usage})
    begun = {**MESSAGE, "content": [], "stop_reason": None, "usage": {"input_tokens": 11, "output_tokens": 1}}
    return events(
        {"type": "message_start", "message": begun},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": TEXT}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 7}},
        {"type": "message_stop"},
    )


@app.post("/v1/models/{call}")
@app.post("/v1beta/models/{call}")
async def generate(call: str) -> dict[str, Any]:
    return {
        "candidates": [{"content": {"role": "model", "parts": [{"text": TEXT}]}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {"promptTokenCount": 11, "candidatesTokenCount": 7, "totalTokenCount": 18},
        "modelVersion": "model-1",
    }


def events(*found: dict[str, Any]) -> StreamingResponse:
    def lines() -> Iterator[str]:
        for event in found:
            yield (f"event: {event['type']}\n" if "type" in event else "") + f"data: {json.dumps(event)}\n\n"
        if "type" not in found[0]:
            yield "data: [DONE]\n\n"

    return StreamingResponse(lines(), media_type="text/event-stream")
