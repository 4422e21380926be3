"""What SERVER spans say of streams, of clients that go away and of WebSockets, with real servers and connections."""

from __future__ import annotations

import contextlib
import signal
import socket
import struct
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import launching
import pytest
from harness import TRACED
from spans import parent_of, path_of, servers, wait_for_spans
from websockets.sync.client import connect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness import System

    from tracebaton.view.spans import Span

SERVERS = {
    "uvicorn": ("uvicorn", "streams_app:app", "--port", "{port}"),
    "uvicorn, h11": ("uvicorn", "streams_app:app", "--port", "{port}", "--http", "h11", "--ws", "wsproto"),
    "hypercorn": ("hypercorn", "streams_app:app", "--bind", "127.0.0.1:{port}"),
}
FIRST, GONE = "http.response.first_byte", "client disconnected"


def break_off(url: str, path: str) -> None:
    """Read the beginning of an answer, and have the connection reset."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=20) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
        received = b""
        while b"tick" not in received:
            received += client.recv(65536)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def talk(url: str, how: str) -> None:
    with connect(url.replace("http:", "ws:") + "/echo", compression=None) as websocket:
        for number in range(3):
            websocket.send(f"{how} {number}")
            websocket.recv(timeout=20)
        if how == "server":
            websocket.send("close")
            with contextlib.suppress(Exception):
                websocket.recv(timeout=20)
        elif how == "abrupt":
            websocket.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            websocket.socket.close()


def said(span: Span) -> list[str]:
    return [event.name for event in span.events if event.name != "exception"]


def counts(spans: Sequence[Span]) -> set[tuple[Any, ...]]:
    names = ("websocket.messages_received", "websocket.messages_sent", "websocket.close_code")
    return {tuple(span.attributes.get(name) for name in names) for span in spans}


@pytest.mark.parametrize("share", ["0", "100%"], ids=["kept", "sampled"])
@pytest.mark.parametrize("server", SERVERS)
def test_what_spans_say(system: System, server: str, share: str) -> None:
    environ = {"OTEL_TRACES_SAMPLER": "tracebaton", "OTEL_TRACES_SAMPLER_ARG": share}
    service = launching.start(system, "streams", [*TRACED, *SERVERS[server]], env=environ)
    launching.wait_until_ready(service)
    compressed = {"accept-encoding": "gzip"}
    # Ten requests in all, for no more are kept a second.
    for path in ("/chunks/1", "/chunks/10000"):
        for headers in (compressed, {"accept-encoding": "identity"}):
            assert httpx.get(service.url + path, headers=headers, timeout=30).status_code == 200
    assert httpx.get(service.url + "/plain", headers=compressed).status_code == 200
    with contextlib.suppress(httpx.RemoteProtocolError):
        httpx.get(service.url + "/breaks")
    break_off(service.url, "/events")
    for how in ("client", "server", "abrupt"):
        talk(service.url, how)
    # What is done, is done: the connections were closed before this is answered, and their ends are noted by then.
    service.child.wait_until(lambda: httpx.get(service.url + "/docs").status_code == 200, "answering", 20)
    service.child.signal(signal.SIGTERM)
    launching.wait_until_gone(service)
    spans = servers(wait_for_spans(system, lambda spans: len(servers(spans)) >= 10))
    by_path: dict[str, list[Span]] = {}
    for span in spans:
        by_path.setdefault(path_of(span), []).append(span)
    assert [said(span) for span in by_path["/plain"]] == [[]]
    for path in ("/chunks/1", "/chunks/10000"):
        assert [said(span) for span in by_path[path]] == [[FIRST], [FIRST]]
    (broken,) = by_path["/breaks"]
    assert (said(broken), broken.status) == ([FIRST], "ERROR")
    (gone,) = by_path["/events"]
    assert said(gone) == [FIRST, GONE]
    # An error was logged in each of them, which is what the unsampled ones are kept for.
    assert gone.status == ("ERROR" if share == "0" else "UNSET")
    connections = by_path["/echo"]
    abrupt = {1005, 1006}
    found = counts(connections)
    assert {(received, sent) for received, sent, _ in found} == {(3, 3), (4, 3)}
    assert len(connections) == 3
    assert {code for _, _, code in found} <= {1000, *abrupt}


def test_what_is_open_for_long_is_seen_before_it_ends(system: System) -> None:
    environ = {
        "OTEL_TRACES_SAMPLER": "tracebaton",
        "OTEL_TRACES_SAMPLER_ARG": "100%",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }
    service = launching.start(system, "streams", [*TRACED, *SERVERS["uvicorn"]], env=environ)
    launching.wait_until_ready(service)
    with (
        connect(service.url.replace("http:", "ws:") + "/echo") as websocket,
        httpx.stream("GET", service.url + "/events") as response,
    ):
        websocket.send("here")
        chunks = response.iter_raw()  # which closes the connection when nobody refers to it
        assert next(chunks)
        shown = wait_for_spans(system, lambda spans: len(spans) >= 2, 40)
        assert next(chunks)
    assert {(span.name, span.kind) for span in shown} == {
        ("/echo (open)", "INTERNAL"),
        ("GET /events (open)", "INTERNAL"),
    }
    spans = wait_for_spans(system, lambda spans: len(spans) >= 4)
    assert {(span.name, span.kind) for span in spans if span not in shown} == {
        ("/echo", "SERVER"),
        ("GET /events", "SERVER"),
    }
    for span in shown:
        server = parent_of(span, spans)
        assert span.name == f"{server.name} (open)"
        assert span.start_ns == server.start_ns
        assert 10 <= (span.end_ns - span.start_ns) / 1e9 < 40
        assert span.end_ns < server.end_ns
    service.child.signal(signal.SIGTERM)
    launching.wait_until_gone(service)


def test_a_script_that_is_ended_while_it_reads_loses_no_span(system: System) -> None:
    server = launching.start(system, "server", ["uvicorn", "streams_app:app", "--port", "{port}"])
    launching.wait_until_ready(server)
    command = [*TRACED, "python", "reading_script.py", f"{server.url}/events"]
    environ = {"OTEL_TRACES_SAMPLER": "tracebaton", "OTEL_TRACES_SAMPLER_ARG": "*=1", "OTEL_BSP_SCHEDULE_DELAY": "100"}
    script = launching.start(system, "script", command, env=environ)
    script.child.wait_until(lambda: "reading" in script.child.output(), "reading", 30)
    script.child.signal(signal.SIGTERM)
    launching.wait_until_gone(script)
    assert script.child.returncode == -signal.SIGTERM
    spans = wait_for_spans(system, lambda spans: len(spans) == 1)
    (call,) = spans
    assert (call.service, call.kind, call.status) == ("script", "CLIENT", "UNSET")
    assert [event.name for event in call.events] == ["http.response.first_byte"]
    assert int(str(call.attributes["http.response.body.size"])) > 0
