"""ASGI by hand: what a server hands to an application, and an application that breaks the rules."""

# /// equality
# command = ["uvicorn", "raw_asgi:app", "--port", "{port}"]
# requests = ["GET /", "POST /body hello", "GET /twice", "GET /nothing", "GET /raise", "GET /late"]
# spans = 0
# ///

import json


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["path"] == "/raise":
        raise OSError("before the answer begins")
    if scope["path"] == "/nothing":
        return
    message = await receive()
    told = {"type": scope["type"], "keys": sorted(scope), "body": message["body"].decode()}
    body = json.dumps(told).encode()
    headers = [(b"content-length", str(len(body)).encode()), (b"x-a", b"1"), (b"X-A", b"2")]
    await send({"type": "http.response.start", "status": 203, "headers": headers})
    if scope["path"] == "/late":
        raise OSError("after the answer has begun")
    await send({"type": "http.response.body", "body": body[:9], "more_body": True})
    await send({"type": "http.response.body", "body": body[9:]})
    if scope["path"] == "/twice":
        await send({"type": "http.response.body", "body": b"more"})
