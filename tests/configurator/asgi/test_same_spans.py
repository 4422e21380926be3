"""The spans of recorded requests against upstream's own: the gate makes them in fewer steps and says the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from spans_of_requests import CASES

from tracebaton_configurator.asgi.span_attributes import without_secrets

SCRIPT = Path(__file__).with_name("spans_of_requests.py")
CONVENTIONS = ("", "http", "http/dup")


@lru_cache
def spans(side: str, convention: str) -> dict[str, list[dict[str, Any]]]:
    """What `side` made of every case."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "FASTAPI_"))}
    if convention:
        env["OTEL_SEMCONV_STABILITY_OPT_IN"] = convention
    done = subprocess.run(
        [sys.executable, str(SCRIPT), side], capture_output=True, text=True, timeout=120, check=False, env=env
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, list[dict[str, Any]]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize(
    "case",
    [*CASES, "at once"],
)
def test_the_spans_are_those_of_upstream(case: str, convention: str) -> None:
    expected, found = spans("upstream", convention)[case], spans("gate", convention)[case]
    assert [one["answer"] for one in found] == [one["answer"] for one in expected]
    # But for one thing: upstream exports `url.query` with its secrets.
    for one in expected:
        for span in one["spans"]:
            kind, query = span["attributes"].get("url.query", ("str", ""))
            if query and span["kind"] == "SERVER":
                span["attributes"]["url.query"] = [kind, without_secrets({"url.query": query})["url.query"]]
    assert [one["spans"] for one in found] == [one["spans"] for one in expected]


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_there_is_something_to_compare(convention: str) -> None:
    """Both semantic conventions are there, every case made spans, and the errors have their events."""
    found = spans("upstream", convention)
    servers = [
        span
        for case in found.values()
        for one in case
        for span in one["spans"]
        # A mounted application that is not instrumented has FastAPI's own span, in one convention always.
        if span["kind"] == "SERVER" and span["scope"][0] != "fastapi"
    ]
    for name, wanted in (("http.method", convention != "http"), ("url.path", convention != "")):
        assert any(name in span["attributes"] for span in servers) is wanted
    for name, case in found.items():
        assert any(one["spans"] for one in case), name
    assert [event for span in servers for event in span["events"] if event[0] == "exception"]
