"""`tracebaton view` with its page, as a process: real requests, a real end, and `tracebaton trace` beside it."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tracebaton.store.reader import StoreReader
from tracebaton.store.writer import StoreWriter
from tracebaton.view.opened_file import open_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    MakeRequest = Callable[..., Any]

TRACE = "01" * 16


class PageOfView:
    """The process, what it has said by now, and where it listens."""

    def __init__(self, *options: str, env: dict[str, str] | None = None, stdin: int = subprocess.DEVNULL) -> None:
        command = [sys.executable, "-m", "tracebaton", "view", *options]
        self.process = subprocess.Popen(
            command,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **(env or {})},
        )
        assert self.process.stderr is not None
        watchdog = threading.Timer(30, self.process.kill)
        watchdog.start()
        self.said = self.process.stderr.readline()
        watchdog.cancel()
        self.page = self._found(r"page on (http://\S+?)(?:;|$)")
        self.http = self._found(r"(http://127\.0\.0\.1:\d+);")

    def _found(self, pattern: str) -> str:
        found = re.search(pattern, self.said.strip())
        return found[1] if found else ""

    def get(self, path: str) -> Any:
        return httpx.get(self.page + path, timeout=20)

    def until(self, path: str, is_there: Callable[[Any], bool]) -> Any:
        """The JSON of that path, once it is as wanted; the last one there was after a while."""
        deadline = time.monotonic() + 20
        while True:
            found = self.get(path).json()
            if is_there(found) or time.monotonic() > deadline:
                return found
            time.sleep(0.05)

    def end(self, number: signal.Signals = signal.SIGINT) -> tuple[int, str]:
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=20)
        return self.process.returncode, errors


@pytest.fixture
def view() -> Iterator[Callable[..., PageOfView]]:
    started: list[PageOfView] = []

    def start(*options: str, **more: Any) -> PageOfView:
        made = PageOfView("--grpc-port", "0", "--http-port", "0", *options, **more)
        started.append(made)
        return made

    yield start
    for one in started:
        one.process.terminate()  # not killed: its temporary file goes with it
        one.process.communicate(timeout=20)


def export(view: PageOfView, request: Any) -> None:
    headers = {"content-type": "application/x-protobuf"}
    answer = httpx.post(f"{view.http}/v1/traces", content=request.SerializeToString(), headers=headers, timeout=20)
    assert answer.status_code == 200


def test_a_trace_is_on_the_page(view: Any, make_request: MakeRequest) -> None:
    shown = view("--web-port", "0")
    export(shown, make_request("first", "second"))
    found = shown.until("/api/traces", lambda found: found["traces"])
    assert [(one["trace_id"], one["spans"]) for one in found["traces"]] == [(TRACE, 2)]
    assert len(shown.get(f"/api/trace/{TRACE[:8]}").json()["spans"]) == 2
    for path in ("/", "/traces", f"/trace/{TRACE}", "/services", "/live"):
        answer = shown.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "resourceSpans" in shown.get(f"/trace/{TRACE}.json").json()
    assert shown.get(f"/trace/{TRACE}.html").headers["content-disposition"].startswith("attachment")
    assert shown.end()[0] == 0


@pytest.mark.parametrize(
    "headers", [{"host": "evil.example"}, {"origin": "http://evil.example"}, {"sec-fetch-site": "cross-site"}]
)
def test_other_pages_and_names_are_refused(view: Any, headers: dict[str, str]) -> None:
    shown = view("--web-port", "0")
    assert httpx.get(f"{shown.page}/api/traces", headers=headers).status_code == 403


def test_it_ends_at_once_although_pages_are_open(view: Any, make_request: MakeRequest) -> None:
    shown = view("--web-port", "0")
    host = shown.page.removeprefix("http://")
    pages = [http.client.HTTPConnection(host, timeout=20) for _ in range(10)]
    answers = []
    for page in pages:
        page.request("GET", "/api/live")
        answers.append(page.getresponse())
    export(shown, make_request("seen live"))
    for answer in answers:
        told = b""
        while b"seen live" not in told:
            line = answer.readline()
            assert line, told
            told += line
    began = time.monotonic()
    assert shown.end()[0] == 0
    assert time.monotonic() - began < 10, "it waited for the pages"
    for page in pages:
        page.close()


def test_log_lines_lie_in_their_trace(view: Any, make_request: MakeRequest, tmp_path: Path) -> None:
    log = tmp_path / "agent-a.log"
    log.write_text(json.dumps({"trace_id": TRACE, "span_id": f"{1:016x}", "level": "INFO", "message": "said"}) + "\n")
    shown = view("--web-port", "0", "--logs", str(log))
    export(shown, make_request("first"))
    with log.open("a") as file:
        file.write(json.dumps({"trace_id": TRACE, "span_id": f"{1:016x}", "message": "and said more"}) + "\n")
    shown.until("/api/traces", lambda found: found["traces"])
    found = shown.until(f"/api/trace/{TRACE}", lambda found: len(found["logs"]) == 2)
    assert sorted(line["message"] for line in found["logs"]) == ["and said more", "said"]
    assert {line["service"] for line in found["logs"]} == {"agent-a"}


def test_lines_of_stdin(view: Any, make_request: MakeRequest) -> None:
    shown = view("--web-port", "0", "-", stdin=subprocess.PIPE)
    export(shown, make_request("first"))
    shown.process.stdin.write(json.dumps({"trace_id": TRACE, "message": "through a pipe"}) + "\n")
    shown.process.stdin.flush()
    shown.until("/api/traces", lambda found: found["traces"])
    found = shown.until(f"/api/trace/{TRACE}", lambda found: found["logs"])
    assert [line["message"] for line in found["logs"]] == ["through a pipe"]


def test_exported_logs_are_kept(view: Any, make_request: MakeRequest) -> None:
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

    shown = view("--web-port", "0")
    export(shown, make_request("first"))
    request = ExportLogsServiceRequest()
    resource = request.resource_logs.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "agent-a"
    record = resource.scope_logs.add().log_records.add(
        trace_id=bytes.fromhex(TRACE), span_id=(1).to_bytes(8, "big"), time_unix_nano=2_000_000, severity_text="ERROR"
    )
    record.body.string_value = "exported"
    headers = {"content-type": "application/x-protobuf"}
    answer = httpx.post(f"{shown.http}/v1/logs", content=request.SerializeToString(), headers=headers)
    assert answer.status_code == 200
    shown.until("/api/traces", lambda found: found["traces"])
    found = shown.until(f"/api/trace/{TRACE}", lambda found: found["logs"])
    assert [(line["message"], line["level"]) for line in found["logs"]] == [("exported", "ERROR")]


def test_a_file_can_be_read_as_soon_as_it_is_open(tmp_path: Path) -> None:
    saved, path = tmp_path / "trace.json", str(tmp_path / "kept.db")
    span = {"traceId": TRACE, "spanId": "02" * 8, "name": "first", "startTimeUnixNano": "1", "endTimeUnixNano": "2"}
    saved.write_text(json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}))
    writer = StoreWriter(path)
    reader = StoreReader(path)
    try:
        assert open_file(str(saved), writer) == TRACE
        assert [span["name"] for span in reader.trace(TRACE)["spans"]] == ["first"]
    finally:
        reader.close()
        writer.close()


def test_a_file_is_kept_and_read_again(view: Any, make_request: MakeRequest, tmp_path: Path) -> None:
    shown = view("--web-port", "0", "--db", str(tmp_path / "kept.db"))
    export(shown, make_request("first"))
    shown.until("/api/traces", lambda found: found["traces"])
    saved = tmp_path / "trace.json"
    saved.write_bytes(shown.get(f"/trace/{TRACE}.json").content)
    shown.end()
    again = view("--web-port", "0", "--db", str(tmp_path / "kept.db"))
    assert [one["trace_id"] for one in again.get("/api/traces").json()["traces"]] == [TRACE]
    again.end()
    opened = view("--web-port", "0", str(saved))
    page = opened.page.partition("/trace/")[0]
    assert httpx.get(f"{page}/api/trace/{TRACE}").json()["spans"][0]["name"] == "first"


def test_trace_asks_the_viewer(view: Any, make_request: MakeRequest) -> None:
    shown = view("--web-port", "0")
    export(shown, make_request("first"))
    shown.until("/api/traces", lambda found: found["traces"])
    command = [sys.executable, "-m", "tracebaton", "trace", "--last", "--web-port", shown.page.rpartition(":")[2]]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
    assert TRACE in done.stdout
    assert "first" in done.stdout


def test_a_taken_port_costs_the_page_alone(view: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        refused = view("--web-port", port)
        assert "--web-port" in refused.said
        assert refused.process.wait(20) == 1


def test_without_a_temporary_directory_there_is_no_page(view: Any, make_request: MakeRequest) -> None:
    """As in a container whose root is read-only; what was printed before is printed still."""
    code = (
        "import sys, tempfile\n"
        "def none(*a, **k): raise FileNotFoundError(2, 'No usable temporary directory found')\n"
        "tempfile.TemporaryDirectory = none\n"
        "from tracebaton.cli import main\n"
        "sys.exit(main(['view', '--grpc-port', '0', '--http-port', '0', '--quiet-after', '0.1']))"
    )
    command = [sys.executable, "-c", code]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True)
    try:
        assert process.stderr is not None
        assert process.stdout is not None
        said = process.stderr.readline()
        assert "no page, as there is no temporary directory" in said
        address = re.search(r"http://127\.0\.0\.1:\d+", said)
        assert address is not None
        content = make_request("first").SerializeToString()
        headers = {"content-type": "application/x-protobuf"}
        assert httpx.post(f"{address[0]}/v1/traces", content=content, headers=headers).status_code == 200
        assert TRACE in process.stdout.readline()
    finally:
        process.kill()
        process.communicate()


only_with_ipv6 = pytest.mark.skipif(not Path("/proc/net/if_inet6").exists(), reason="this machine has no IPv6")


class TestElsewhere:
    """As in a container, whose port the machine publishes on its own loopback."""

    def test_the_page_is_reached_by_the_machines_own_names(self, view: Callable[..., PageOfView]) -> None:
        started = view("--web-host", "0.0.0.0", "--web-port", "0")
        port = started.page.rpartition(":")[2]
        assert started.page == f"http://0.0.0.0:{port}"
        url = f"http://127.0.0.1:{port}/api/traces"
        for host in ("localhost:4319", "127.0.0.1:4319", "0.0.0.0:4319"):
            assert httpx.get(url, headers={"Host": host}, timeout=20).status_code == 200
        refused = httpx.get(url, headers={"Host": "rebound.example:4319"}, timeout=20)
        assert refused.status_code == 403
        assert "--web-host rebound.example" in refused.text

    @pytest.mark.parametrize("given", ["0", pytest.param("0:0:0:0:0:0:0:0", marks=only_with_ipv6)])
    def test_an_address_of_another_spelling(self, view: Callable[..., PageOfView], given: str) -> None:
        started = view("--web-host", given, "--web-port", "0")
        port = started.page.rpartition(":")[2]
        assert started.page == f"http://{'[::]' if ':' in given else '0.0.0.0'}:{port}"
        host = started.page.removeprefix("http://")
        own = "[::1]" if ":" in given else "127.0.0.1"
        assert httpx.get(f"http://{own}:{port}/", headers={"Host": host}, timeout=20).status_code == 200

    @pytest.mark.parametrize("given", ["a..b", "a" * 70])
    def test_what_is_no_name(self, view: Callable[..., PageOfView], given: str) -> None:
        started = view("--web-host", given, "--web-port", "0")
        assert started.process.wait(timeout=20) == 1
        assert f"no page, as {given}:0 cannot be had (" in started.said
        assert "is no name of a host" in started.said
        assert "Traceback" not in started.said

    def test_an_address_of_another_machine(self, view: Callable[..., PageOfView]) -> None:
        started = view("--web-host", "192.0.2.1", "--web-port", "0")
        assert started.process.wait(timeout=20) == 1
        assert "no page, as 192.0.2.1:0 cannot be had (Cannot assign requested address)" in started.said

    def test_a_name_that_there_is_not(self, view: Callable[..., PageOfView]) -> None:
        started = view("--web-host", "nowhere.invalid", "--web-port", "0")
        assert started.process.wait(timeout=20) == 1
        assert "no page, as nowhere.invalid:0 cannot be had (" in started.said
