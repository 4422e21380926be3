"""Traces as `/api/trace/<id>` gives them, made up: chats of agents, some of which fail, large and odd ones."""

from __future__ import annotations

import random
from typing import Any

NOON = 1_795_780_800_000_000  # in microseconds since 1970

Trace = dict[str, Any]


class Builder:
    """Spans and lines of one trace; times are microseconds after its beginning."""

    def __init__(self, number: int, begins_us: int) -> None:
        self.trace: Trace = {"trace_id": f"{number:032x}", "spans": [], "logs": [], "not_kept": 0}
        self.begins_us = begins_us

    def span(self, service: str, kind: str, name: str, parent: str, start: int, duration: int, **values: Any) -> str:
        span_id = f"{int(self.trace['trace_id'], 16) % 2**32:08x}{len(self.trace['spans']) + 1:08x}"
        self.trace["spans"].append(
            {
                "span_id": span_id,
                "parent_span_id": parent,
                "service": service,
                "name": name,
                "kind": kind,
                "start_us": self.begins_us + start,
                "duration_us": duration,
                "status": "UNSET",
                "status_message": "",
                "attributes": {},
                "resource": {
                    "service.name": service,
                    "service.instance.id": f"{service}-7f9c",
                    "telemetry.sdk.language": "python",
                },
                "scope": {"name": "opentelemetry.instrumentation.httpx", "version": "0.64b0"},
                "events": [],
                "links": [],
                "target": "",
                **values,
            }
        )
        return span_id

    def log(self, service: str, level: str, message: str, span_id: str, at: int, **values: Any) -> None:
        known = {"logger": f"{service}.chat", "exception": "", "fields": {}}
        line = {
            "time_us": self.begins_us + at,
            "service": service,
            "level": level,
            "message": message,
            "span_id": span_id,
        }
        self.trace["logs"].append({**known, **line, **values})


def redis(command: str, key: str) -> dict[str, Any]:
    attributes = {
        "db.system": "redis",
        "db.statement": f"{command} {key}",
        "net.peer.name": "redis",
        "net.peer.port": 6379,
    }
    return {"attributes": attributes, "target": f"redis {command}"}


def http(method: str, path: str, status: int) -> dict[str, Any]:
    return {
        "http.request.method": method,
        "url.path": path,
        "http.route": path,
        "http.response.status_code": status,
        "server.address": "backend",
        "network.protocol.version": "1.1",
        "user_agent.original": "python-httpx/0.28.1",
    }


def chat(number: int, begins_us: int, *, fails: bool = False, slow: float = 1.0, kept: bool = False) -> Trace:
    """Agent a remembers in Redis and asks the backend, which asks b; where that fails, b's model is not there."""
    it = Builder(number, begins_us)

    def us(ms: float) -> int:
        return int(ms * 1000 * slow)

    status, code = ("ERROR", 500) if fails else ("UNSET", 200)
    bad = {"status": status}
    root = it.span("agent-a", "SERVER", "POST /chat", "", 0, us(412), attributes=http("POST", "/chat", code), **bad)
    if kept:
        it.trace["spans"][0]["attributes"]["tracebaton.kept"] = "error" if fails else "slow"
    it.log(
        "agent-a",
        "INFO",
        "chat 4711 from alice: 'Where is my parcel?'",
        root,
        us(2),
        fields={"user": "alice", "chat.id": 4711},
    )
    it.span("agent-a", "CLIENT", "GET", root, us(6), us(3), **redis("GET", "chat:4711"))
    it.span("agent-a", "CLIENT", "LRANGE", root, us(12), us(4), **redis("LRANGE", "history:alice"))
    call = it.span(
        "agent-a",
        "CLIENT",
        "POST",
        root,
        us(22),
        us(340),
        attributes=http("POST", "/ask", code),
        target="POST http://backend:8000/ask",
        **bad,
    )
    ask = it.span("backend", "SERVER", "POST /ask", call, us(28), us(330), attributes=http("POST", "/ask", code), **bad)
    it.log(
        "backend",
        "DEBUG",
        "routing to agent-b (2 candidates)",
        ask,
        us(31),
        fields={"candidates": ["agent-b", "agent-c"]},
    )
    it.span("backend", "CLIENT", "HGETALL", ask, us(34), us(5), **redis("HGETALL", "agents"))
    ranked = it.span("backend", "INTERNAL", "rank candidates", ask, us(42), us(26), attributes={"candidates": 2})
    lookup = it.span(
        "backend",
        "CLIENT",
        "GET",
        ask,
        us(70),
        us(44),
        attributes=http("GET", "/parcels/88", 200),
        target="GET http://agent-c:8000/parcels/88",
    )
    it.span(
        "agent-c", "SERVER", "GET /parcels/{id}", lookup, us(74), us(37), attributes=http("GET", "/parcels/{id}", 200)
    )
    call_b = it.span(
        "backend",
        "CLIENT",
        "POST",
        ask,
        us(180),
        us(165),
        attributes=http("POST", "/chat", code),
        target="POST http://agent-b:8000/chat",
        **bad,
    )
    problem = "RuntimeError: the model 'parcel-7b' is not loaded"
    events = [
        {
            "name": "exception",
            "time_us": begins_us + us(330),
            "attributes": {"exception.type": "RuntimeError", "exception.message": problem},
        }
    ]
    b = it.span(
        "agent-b", "SERVER", "POST /chat", call_b, us(186), us(152), attributes=http("POST", "/chat", code), **bad,
        status_message=problem if fails else "", events=events if fails else [],
        links=[{"trace_id": it.trace["trace_id"], "span_id": ranked, "attributes": {"why": "same batch"}}],
    )  # fmt: skip
    it.span("agent-b", "CLIENT", "SETEX", b, us(190), us(3), **redis("SETEX", "lock:4711"))
    it.span(
        "agent-b",
        "INTERNAL",
        "chat parcel-7b",
        b,
        us(196),
        us(120),
        attributes={"gen_ai.system": "local", "gen_ai.request.model": "parcel-7b", "gen_ai.usage.input_tokens": 812},
    )
    if fails:
        it.log(
            "agent-b", "WARNING", "model parcel-7b answered 503, trying once more", b, us(262), fields={"attempt": 1}
        )
        it.log(
            "agent-b", "ERROR", "chat failed", b, us(331), logger="agent_b.main",
            exception=f'Traceback (most recent call last):\n  File "main.py", line 41, in chat\n{problem}',
            fields={"chat.id": 4711},
        )  # fmt: skip
        it.log("backend", "ERROR", "agent-b answered 500", ask, us(350), fields={"status": 500})
        it.log("agent-a", "ERROR", "chat 4711 was not answered", root, us(366), fields={"user": "alice", "status": 500})
    else:
        it.log("agent-b", "INFO", "answered in 148 tokens", b, us(330), fields={"tokens": 148})
    it.span(
        "agent-a",
        "PRODUCER",
        "chats publish",
        root,
        us(384),
        us(6),
        attributes={"messaging.system": "redis", "messaging.destination.name": "chats"},
        target="redis PUBLISH chats",
    )
    it.log("agent-a", "INFO", "done", root, us(408))
    return it.trace


def heartbeat(number: int, begins_us: int) -> Trace:
    it = Builder(number, begins_us)
    root = it.span(
        "backend", "SERVER", "GET /health", "", 0, 2400 + number % 900, attributes=http("GET", "/health", 200)
    )
    it.span("backend", "CLIENT", "PING", root, 600, 900, **redis("PING", ""))
    return it.trace


def large(number: int, begins_us: int, spans: int = 10_000) -> Trace:
    """A tree of `spans` spans, ten levels and more deep, with a line in every fifth."""
    dice = random.Random(7)
    it = Builder(number, begins_us)
    ids = [it.span("service-0", "SERVER", "POST /batch", "", 0, spans * 100)]
    for index in range(1, spans):
        parent = ids[max(0, index - dice.randint(1, 12))]
        service = f"service-{index % 9}"
        made = it.span(
            service,
            "INTERNAL",
            f"step {index}",
            parent,
            index * 100,
            80 + dice.randint(0, 4000),
            attributes={"step": index},
        )
        ids.append(made)
        if index % 5 == 0:
            it.log(service, "INFO", f"line of step {index}", made, index * 100 + 20)
    return it.trace


SCRIPT = "<script>window.hurt = 1</script><img src=x onerror='window.hurt = 1'>"
ANSI = "\x1b[31mred\x1b[0m \x07 \u202egnp.exe"


def odd(number: int, begins_us: int) -> Trace:
    """Names and lines that are markup, escapes, or a megabyte long; a circle of parents; a parent that is not here."""
    it = Builder(number, begins_us)
    markup = {SCRIPT: SCRIPT, "__proto__": "x", "constructor": {"a": [1, None, True]}}
    root = it.span(SCRIPT, "SERVER", SCRIPT, "", 0, 9000, status="ERROR", status_message=SCRIPT, attributes=markup)
    it.span("ansi", "CLIENT", ANSI, root, 100, 200, target=ANSI)
    it.span("long", "INTERNAL", "n" * 1_000_000, root, 400, 100, attributes={"long": "v" * 1_000_000})
    it.span("orphan", "SERVER", "GET /orphan", "f" * 16, 500, 100)
    one = it.span("circle", "INTERNAL", "one", "", 600, 0)
    two = it.span("circle", "INTERNAL", "two", one, 600, 1)
    it.trace["spans"][-2]["parent_span_id"] = two
    it.log("ansi", "ERROR", SCRIPT, root, 50, logger=SCRIPT, exception=SCRIPT, fields={SCRIPT: SCRIPT})
    it.log("ansi", ANSI, ANSI, root, 60)
    it.log("long", "INFO", "m" * 1_000_000, "0" * 16, 70)
    return it.trace


def an_hour(now_us: int = NOON + 3_600_000_000) -> list[Trace]:
    """Newest last: chats, of which some fail, and heartbeats, over the hour before `now_us`."""
    dice = random.Random(3)
    made = []
    for index in range(120):
        at = now_us - (120 - index) * 30_000_000 + dice.randint(0, 9_000_000)
        number = 0xA1B2C3D4 * 2**96 + dice.getrandbits(80) * 2**16 + index
        if index in {31, 77, 78, 112, 118}:
            made.append(chat(number, at, fails=True, slow=dice.uniform(0.7, 1.4), kept=index % 2 == 0))
        elif index % 3 == 0:
            made.append(heartbeat(number, at))
        else:
            made.append(chat(number, at, slow=dice.uniform(0.6, 1.1) if index != 91 else 4.2, kept=index == 91))
    return made
