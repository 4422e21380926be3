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


# What is behind a mount or a host: upstream says the mount's path, and makes an INTERNAL span for what is mounted.
WHOLE = {
    "/instrumented/items/3": "/instrumented/items/{item}",
    "/bare/acme/items/3": "/bare/{tenant}/items/{item}",
    "/bare/other/items/3": "/bare/{tenant}/items/{item}",
    "/starlette/pages/a": "/starlette/pages/{name}",
    "/starlette/pages/b": "/starlette/pages/{name}",
    "/hello": "/hello",
}


def path_of(span: dict[str, Any]) -> str | None:
    attributes = span["attributes"]
    path: str | None = attributes.get("http.target", attributes.get("url.path", (None, None)))[1]
    return path


def whole(span: dict[str, Any]) -> dict[str, Any]:
    route = WHOLE.get(path_of(span) or "")
    if route is None or span["scope"][0] == "fastapi" or span["name"] in ("HTTP", "PATCH /hello"):
        return span
    attributes = {**span["attributes"], "http.route": ["str", route]}
    return {**span, "name": f"{span['name'].partition(' ')[0]} {route}", "attributes": attributes}


# What upstream does not say of an answer that is streamed.
FIRST_BYTE, GONE = ["http.response.first_byte", {}], ["client disconnected", {}]


def as_upstream_says(span: dict[str, Any]) -> dict[str, Any]:
    return {**span, "events": [event for event in span["events"] if event != FIRST_BYTE]}


def with_client_gone(span: dict[str, Any]) -> dict[str, Any]:
    """Upstream has an error where the client has gone, and the status of an answer that nobody got."""
    status = ("http.status_code", "http.response.status_code", "error.type")
    attributes = {name: value for name, value in span["attributes"].items() if name not in status}
    return {**span, "attributes": attributes, "events": [GONE], "status": ["UNSET", None]}


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
    # But for three things: upstream exports `url.query` with its secrets, knows no more of a mount than its path, and
    # says nothing of a stream.
    for one in expected:
        one["spans"] = [whole(span) for span in one["spans"] if span["kind"] == "SERVER" or path_of(span) is None]
        for span in one["spans"]:
            kind, query = span["attributes"].get("url.query", ("str", ""))
            if query and span["kind"] == "SERVER":
                span["attributes"]["url.query"] = [kind, without_secrets({"url.query": query})["url.query"]]
    found = [{**one, "spans": [as_upstream_says(span) for span in one["spans"]]} for one in found]
    if case == "client gone":
        expected = [{**one, "spans": [with_client_gone(span) for span in one["spans"]]} for one in expected]
        kept = ("events", "status")
        found = [
            {**one, "spans": [{**with_client_gone(span), **{key: span[key] for key in kept}} for span in one["spans"]]}
            for one in found
        ]
    if case == "at once":  # printed in the order of their names
        expected, found = (
            [{"spans": sorted(one["spans"], key=json.dumps)} for one in side] for side in (expected, found)
        )
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
