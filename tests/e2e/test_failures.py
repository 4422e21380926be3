"""A failure inside HTTP 200 is kept although it was not sampled; a client that goes is none. With a real uvicorn."""

from __future__ import annotations

import contextlib
import signal
import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
import launching
import pytest
from harness import TRACED
from spans import path_of, servers, wait_for_spans

if TYPE_CHECKING:
    from harness import System


@pytest.mark.parametrize("keeps_logged", ["true", "false"])
def test_what_is_kept(system: System, keeps_logged: str) -> None:
    environ = {
        "OTEL_TRACES_SAMPLER": "tracebaton",
        "OTEL_TRACES_SAMPLER_ARG": "0",
        "OTEL_TRACEBATON_KEEP_LOGGED_ERRORS": keeps_logged,
    }
    command = [*TRACED, "uvicorn", "failures_app:app", "--port", "{port}"]
    service = launching.start(system, "failures", command, env=environ)
    launching.wait_until_ready(service)
    assert httpx.get(service.url + "/fine").status_code == 200
    assert httpx.get(service.url + "/logged").status_code == 200
    with httpx.stream("GET", service.url + "/endless") as response:
        next(response.iter_raw())
    address = urlsplit(service.url)
    with socket.create_connection((address.hostname, address.port)) as client:
        client.sendall(b"POST /takes HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nhalf")
    with contextlib.suppress(httpx.RemoteProtocolError):
        httpx.get(service.url + "/breaks")
    service.child.signal(signal.SIGTERM)
    launching.wait_until_gone(service)
    wanted = ["/logged", "/breaks"] if keeps_logged == "true" else ["/breaks"]
    spans = servers(wait_for_spans(system, lambda spans: len(spans) >= len(wanted)))
    assert [path_of(span) for span in spans] == wanted
    assert {span.status for span in spans} == {"ERROR"}
