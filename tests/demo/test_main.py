"""The demo program by itself, without tracing: three processes and a real redis-server."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import httpx
import pytest
import redis
from harness import UNTRACED, System

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.e2e


class Running(NamedTuple):
    system: System
    url: dict[str, str]
    client: httpx.Client

    def chat(self, text: str) -> httpx.Response:
        return self.client.post(f"{self.url['agent-a']}/agents/agent-b/chat", json={"text": text})


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with System() as system, httpx.Client(timeout=10, trust_env=False) as client:
        system.start_redis()
        url: dict[str, str] = {}
        next_url = ""
        for name in ("agent-b", "backend", "agent-a"):
            next_url = url[name] = system.start_agent(name, next_url, launcher=UNTRACED)
        yield Running(system, url, client)
    assert system.left_behind() == []


def test_a_chat_reaches_the_last_agent_and_its_reply_comes_back(running: Running) -> None:
    response = running.chat("hello")
    assert response.status_code == 200
    assert response.json() == {"text": "You said: hello", "hops": ["agent-a", "backend", "agent-b"]}


def test_every_hop_counts_its_turns_in_redis(running: Running) -> None:
    before = _turns(running)
    assert running.chat("count me").status_code == 200
    assert _turns(running) == {name: turns + 1 for name, turns in before.items()}


def test_a_failing_chat_is_500_at_the_last_agent_and_502_before(running: Running) -> None:
    direct = running.client.post(f"{running.url['agent-b']}/agents/agent-b/chat", json={"text": "please fail"})
    assert direct.status_code == 500
    assert running.chat("please fail").status_code == 502
    assert "main.ModelError: no answer to 'please fail'" in running.system.children["agent-b"].output()
    for name in ("backend", "agent-a"):
        assert "ERROR agent: the next agent did not answer" in running.system.children[name].output()


def test_a_heartbeat_is_noted_in_redis_for_a_while(running: Running) -> None:
    response = running.client.post(f"{running.url['backend']}/agents/agent-a/heartbeat")
    assert response.status_code == 204
    with redis.Redis.from_url(running.system.redis_url) as store:
        assert 0 < store.ttl("alive:agent-a") <= 30


def test_health_is_ok(running: Running) -> None:
    for url in running.url.values():
        response = running.client.get(f"{url}/health")
        assert (response.status_code, response.json()) == (200, {"status": "ok"})


def test_logs_are_plain_lines_on_stderr(running: Running) -> None:
    """The format is the program's own, and none of it is JSON: that is what tracing adds."""
    assert running.chat("log this").status_code == 200
    assert "INFO agent: chat received" in running.system.children["agent-b"].stderr.read_text()
    assert running.system.logs("agent-b") == []


def _turns(running: Running) -> dict[str, int]:
    with redis.Redis.from_url(running.system.redis_url) as store:
        return {name: int(store.get(f"{name}:turns") or 0) for name in running.url}
