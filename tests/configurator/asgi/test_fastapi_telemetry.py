"""FastAPI's native telemetry (0.142 and later), without the contrib instrumentation: the gate stands above it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi.telemetry", reason="this FastAPI has no native telemetry, which began with 0.142")

from telemetry_requests import GONE, REQUESTS

SCRIPT = Path(__file__).with_name("telemetry_requests.py")
TRACE = f"{0xABCDEF:032x}"


@lru_cache
def results(side: str, rules: str, trusted: str = "yes") -> dict[str, Any]:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "FASTAPI_"))}
    done = subprocess.run(
        [sys.executable, str(SCRIPT), side, rules, trusted],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=env,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("name", [name for name in REQUESTS if not name.startswith("unsampled parent")])
def test_recorded_spans_are_those_of_fastapi(name: str) -> None:
    ours, theirs = results("tracebaton", "*=1")[name], results("fastapi", "*=1")[name]
    for span in ours["spans"]:  # what FastAPI does not say of an answer that is streamed
        span["events"] = [event for event in span["events"] if event[0] != "http.response.first_byte"]
    assert ours["spans"] == theirs["spans"]
    assert [ours[key] for key in ("status", "body")] == [theirs[key] for key in ("status", "body")]


@pytest.mark.parametrize("name", GONE)
def test_a_client_that_has_gone_is_no_error(name: str) -> None:
    """As it is to FastAPI, which has it for a ConnectionError."""
    (ours,), (theirs,) = (
        [span for span in results(side, "*=1")[name]["spans"] if span["kind"] == "SERVER"]
        for side in ("tracebaton", "fastapi")
    )
    assert theirs["status"][0] == "ERROR"
    is_gone = name != "not at all"
    said = [event[0] for event in ours["events"] if event[0] != "exception"]
    first = [] if name == "as receive says" else ["http.response.first_byte"]  # that one has not waited for it
    assert said == [*first, *["client disconnected"] * is_gone]
    assert ours["status"][0] == ("UNSET" if is_gone else "ERROR")
    assert ("error.type" in ours["attributes"]) is not is_gone


def test_fastapi_makes_four_spans_a_request() -> None:
    """What is compared above is there."""
    spans = results("fastapi", "*=1")["plain"]["spans"]
    assert [span["kind"] for span in spans].count("SERVER") == 1
    assert len(spans) == 4


@pytest.mark.parametrize(
    "name",
    ["plain", "query", "not found", "validation", "background", "stream", "mounted", "web socket", "unsampled parent"],
)
def test_unrecorded_requests_are_silent_and_have_an_identity(name: str) -> None:
    found = results("tracebaton", "*=0")[name]
    assert found["spans"] == []
    assert found["error"] is None
    for trace_id, span_id, flags in found["seen"]:
        assert (len(trace_id), len(span_id), flags) == (32, 16, "00")
        assert (trace_id == TRACE) is (name == "unsampled parent")


@pytest.mark.parametrize("name", ["raises", "unavailable", "unsampled parent raises"])
def test_errors_are_kept(name: str) -> None:
    found = results("tracebaton", "*=0")[name]
    (span,) = found["spans"]
    assert span["kind"] == "SERVER"
    assert span["attributes"]["tracebaton.kept"] == ["str", "error"]
    assert span["attributes"]["http.response.status_code"] == ["int", found["status"]]
    assert span["status"][0] == "ERROR"
    assert found["ids"] == [found["seen"][0][:2]]
    assert (span["parent"] is not None) is name.startswith("unsampled")


@pytest.mark.parametrize(
    "name",
    [
        "unavailable",
        pytest.param(
            "raises",
        ),
    ],
)
def test_a_kept_span_says_what_fastapi_would_have_said(name: str) -> None:
    (kept,) = results("tracebaton", "*=0")[name]["spans"]
    (recorded,) = (span for span in results("fastapi", "*=1")[name]["spans"] if span["kind"] == "SERVER")
    del kept["attributes"]["tracebaton.kept"]
    assert (kept["name"], kept["scope"]) == (recorded["name"], recorded["scope"])
    assert kept["attributes"] == recorded["attributes"]


def test_a_kept_span_redacts_what_fastapi_redacts() -> None:
    (kept,) = results("tracebaton", "*=0")["unavailable with query"]["spans"]
    assert "secret" not in json.dumps(kept)


@pytest.mark.parametrize(
    "rules",
    [
        "*=0",
        "*=1",
    ],
)
def test_an_exception_carries_the_ids_of_its_request(rules: str) -> None:
    found = results("tracebaton", rules)["raises"]
    assert found["error"][0] == "ValueError"
    assert found["error"][1] is not None
    assert found["error"][1][0] == found["seen"][0][0]


@pytest.mark.parametrize(
    "rules",
    [
        "*=0",
        "*=1",
    ],
)
def test_an_untrusted_caller_is_not_continued(rules: str) -> None:
    found = results("tracebaton", rules, "no")["sampled parent"]
    assert found["seen"][0][0] != TRACE


def test_a_root_is_decided_once() -> None:
    """Rules that record the first request of a window and no other: the gate's decision is the one that counts."""
    found = results("tracebaton", "GET /hello/*=1/s+0%, *=0")
    assert len(found["plain"]["spans"]) == 4
