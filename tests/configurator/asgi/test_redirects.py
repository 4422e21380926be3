"""A redirect to a host that is to get nothing of the trace: nothing is sent there, and the others get it still."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).with_name("redirecting_clients.py")
CLIENTS = ["httpx", "httpx-async", "requests", "requests-by-hand", "urllib", "urllib3", "urllib3-pool", "aiohttp"]
HEADERS = ("traceparent", "tracestate", "baggage")


@lru_cache
def results(client: str, sampled: str) -> dict[str, list[dict[str, str]]]:
    """What each path of the two servers was sent, in a process of its own: the patches are for good."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run(
        [sys.executable, str(SCRIPT), client, sampled], capture_output=True, text=True, timeout=60, check=False, env=env
    )
    if done.returncode == 77:
        pytest.skip(f"{client} or its instrumentation is not installed: it was NOT tested")
    assert done.returncode == 0, done.stderr
    found: dict[str, list[dict[str, str]]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("sampled", ["sampled", "unsampled"])
@pytest.mark.parametrize("client", CLIENTS)
class TestRedirects:
    def test_nothing_reaches_an_excluded_host(self, client: str, sampled: str) -> None:
        found = results(client, sampled)
        assert len(found["/secret"]) >= 2, "from the same host, and from another"
        for sent in found["/secret"]:
            assert {name: value for name, value in sent.items() if name in HEADERS} == {"baggage": "mine=1"}
            assert sent["x-mine"] == "kept"

    def test_the_others_get_it(self, client: str, sampled: str) -> None:
        found = results(client, sampled)
        flag = "01" if sampled == "sampled" else "00"
        for path in ("/start", "/start-to-secret", "/end"):
            assert found[path], path
            for sent in found[path]:
                assert sent["traceparent"].startswith(f"00-{0xABCDEF:032x}-"), path
                assert sent["traceparent"].endswith(f"-{flag}"), path
                assert sent["x-mine"] == "kept"


def test_what_is_injected_is_told_by_its_value() -> None:
    from opentelemetry import context, propagate, trace

    from tracebaton_configurator.propagation.redirects import injected, take_out

    span = trace.NonRecordingSpan(trace.SpanContext(1, 2, is_remote=False))
    token = context.attach(trace.set_span_in_context(span))
    try:
        headers: dict[str, Any] = {"Other": "a", "tracestate": "mine=1"}
        propagate.inject(headers)
        headers["Traceparent"] = headers.pop("traceparent")  # as urllib spells it
        pairs = injected(headers)
        assert pairs == {("traceparent", f"00-{1:032x}-{2:016x}-00")}
        take_out(headers, pairs)
        assert headers == {"Other": "a", "tracestate": "mine=1"}
    finally:
        context.detach(token)
    assert asyncio.run(asyncio.sleep(0, "done")) == "done"
