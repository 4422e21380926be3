"""While tracing is off, and outside any request, a message is what it would be without this project."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING
from uuid import uuid4

import httpx
import pytest
import redis
from processes import HOST, is_listening, wait_for

if TYPE_CHECKING:
    from edge_services import Edge

LIBRARIES = ("celery[redis]==5.7.0", "taskiq==0.13.0", "taskiq_redis==1.2.4", "faststream[redis,cli]==0.7.8")


def tracebaton(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "tracebaton", *words], check=True, capture_output=True, timeout=30)


@pytest.mark.parametrize(("library", "queue"), [("celery", "celery"), ("taskiq", "taskiq"), ("faststream", "call")])
def test_a_message_says_nothing_of_a_trace(edge: Edge, library: str, queue: str) -> None:
    name, port = f"agent-{uuid4().hex[:12]}", edge.system.free_port()
    url = edge.system.start_redis()
    env = {"REDIS_URL": url, "PEER": "", "TASKS": f"job_{library}_tasks", "OTEL_TRACES_SAMPLER_ARG": "*=1"}
    words = ("python", "-m", "uvicorn", "job_agent:app", "--port", str(port))
    edge.start(name, *words, libraries=LIBRARIES, env=env).wait_until(lambda: is_listening(port), "listening", 60)
    messages = redis.Redis.from_url(url)

    def add() -> bytes:
        httpx.get(f"http://{HOST}:{port}/sampled/call", timeout=20).raise_for_status()
        assert wait_for(lambda: messages.llen(queue) == 1, 20, 0.05)
        return messages.lpop(queue)  # type: ignore[return-value]

    assert b"traceparent" in add()
    tracebaton("off", "--service", name)
    assert b"traceparent" not in add()
