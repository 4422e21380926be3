"""Reading the raw headers of an ASGI scope."""

from __future__ import annotations

import subprocess
import sys
import timeit
from typing import Any

import pytest

from tracebaton_configurator.propagation.w3c.headers import RemoteContext, read_context

PARENT = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
IDS = (0x4BF92F3577B34DA6A3CE929D0E0E4736, 0x00F067AA0BA902B7, 1)
USUAL = [
    (b"host", b"localhost:8000"),
    (b"user-agent", b"python-httpx/0.28.1"),
    (b"accept", b"*/*"),
    (b"accept-encoding", b"gzip, deflate"),
    (b"connection", b"keep-alive"),
    (b"content-type", b"application/json"),
    (b"content-length", b"12"),
    (b"authorization", b"Bearer 1234"),
]


def test_without_trace_headers_there_is_nothing() -> None:
    assert read_context([]) is None
    assert read_context(USUAL) is None
    assert read_context([(b"traceparen\xff", PARENT), (b"tracestat-", b"a=1"), (b"baggagf", b"a=1")]) is None


def test_all_three_headers() -> None:
    headers = [
        *USUAL,
        (b"tracestate", b"a=1"),
        (b"traceparent", PARENT),
        (b"Baggage", b"x=1"),
        (b"TraceState", b"b=2"),
        (b"baggage", b"y=2"),
    ]
    found = read_context(headers)
    assert found == RemoteContext(*IDS, [b"a=1", b"b=2"], [b"x=1", b"y=2"])
    assert found.has_parent


@pytest.mark.parametrize("parents", [[], [b"garbage"], [PARENT, PARENT]])
def test_without_one_valid_parent_the_tracestate_goes_and_the_baggage_stays(parents: list[bytes]) -> None:
    headers = [*((b"traceparent", parent) for parent in parents), (b"tracestate", b"a=1")]
    assert read_context(headers) is None
    found = read_context([*headers, (b"baggage", b"x=1")])
    assert found == RemoteContext(0, 0, 0, (), [b"x=1"])
    assert not found.has_parent


@pytest.mark.parametrize(
    "headers",
    [
        None,
        1,
        [None],
        [(b"traceparent",)],
        [(b"traceparent", None)],
        [("traceparent", "x")],
        [(1, 2)],
        [(b"a", b"b", b"c")],
    ],
)
def test_what_is_not_asgi_is_nothing(headers: Any) -> None:
    assert read_context(headers) is None


def test_it_is_cheap_where_there_is_nothing() -> None:
    """Below 1 us when measured; the bound leaves room for a busy machine."""
    turns = 5_000
    assert min(timeit.repeat(lambda: read_context(USUAL), number=turns, repeat=5)) / turns < 5e-6


def test_it_imports_nothing_of_opentelemetry() -> None:
    code = (
        f"import sys; sys.path[:] = {sys.path!r}; import tracebaton_configurator.propagation.w3c.headers; "
        "sys.exit(any('opentelemetry' in name for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-S", "-c", code], check=False).returncode == 0
