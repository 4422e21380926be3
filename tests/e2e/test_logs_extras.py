"""Extras that a text format does not show: secrets among them are masked in the JSON line of a real server."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from harness import TRACED
from launching import start, wait_until_gone, wait_until_ready
from processes import HOST

if TYPE_CHECKING:
    from harness import System

SECRET = "eyJhbGciOi"  # noqa: S105


@pytest.mark.parametrize("extras", ["", "none", "all"])
def test_secrets_in_extras(system: System, extras: str) -> None:
    command = (*TRACED, "uvicorn", "extras_app:app", "--host", HOST, "--port", "{port}")
    service = start(system, "shop", command, env={"OTEL_TRACEBATON_LOG_EXTRAS": extras})
    wait_until_ready(service)
    httpx.get(service.url, headers={"authorization": f"Bearer {SECRET}", "x-room": "7"})
    service.end(signal.SIGTERM, group=False)
    wait_until_gone(service)
    lines = [json.loads(line) for line in service.child.output().splitlines() if line.startswith("{")]
    (line,) = [one for one in lines if one["message"] == "asked"]
    assert "trace_id" in line
    check(line, extras)


def check(line: dict[str, Any], extras: str) -> None:
    if extras == "all":
        assert line["headers"]["authorization"] == f"Bearer {SECRET}"
        return
    assert SECRET not in json.dumps(line)
    assert "p4ss" not in json.dumps(line)
    if extras == "none":
        assert "headers" not in line
        return
    assert line["headers"]["authorization"] == line["password"] == "[masked]"
    assert line["headers"]["x-room"] == "7"
