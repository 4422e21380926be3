"""`tracebaton view` as a process, with real exporters"""

from __future__ import annotations

import asyncio
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
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from tracebaton.view.intake import Intake
from tracebaton.view.session import _stop_on_signal

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.trace.export import SpanExporter

    MakeRequest = Callable[..., Any]


def export_failing_chat(exporter: SpanExporter) -> None:
    """Two spans of agent-a, the inner one raising."""
    provider = TracerProvider(resource=Resource({"service.name": "agent-a"}), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("demo", "1")
    with pytest.raises(KeyError), tracer.start_as_current_span("chat"), tracer.start_as_current_span("think"):
        raise KeyError("model")
    provider.shutdown()


def exporters(view: Any) -> list[SpanExporter]:
    return [
        GrpcExporter(endpoint=view.grpc, insecure=True),
        HttpExporter(endpoint=f"{view.http}/v1/traces", compression=Compression.Gzip),
    ]


def post(view: Any, body: bytes, content_type: str = "application/x-protobuf") -> int:
    connection = http.client.HTTPConnection(view.http.removeprefix("http://"), timeout=10)
    try:
        connection.request("POST", "/v1/traces", body, {"Content-Type": content_type})
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize("which", [0, 1], ids=["grpc", "http"])
class TestRealExporters:
    def test_tree(self, start_view: Callable[..., Any], which: int) -> None:
        """A trace is printed once it is quiet, as a tree with the error's message."""
        view = start_view("--quiet-after", "0.2")
        export_failing_chat(exporters(view)[which])
        lines = view.read_until("think").splitlines()
        assert lines[0].startswith("trace ")
        assert "  2 spans, 1 service, " in lines[0]
        assert lines[1].startswith("└── agent-a  chat  ")
        assert lines[2].startswith("    └── agent-a  think  ")
        assert lines[2].endswith(" ms  ERROR  KeyError: 'model'")

    def test_json(self, start_view: Callable[..., Any], which: int) -> None:
        """--json prints a span as soon as it arrives, whatever the quiet time."""
        view = start_view("--json", "--quiet-after", "3600")
        export_failing_chat(exporters(view)[which])
        think, chat = map(json.loads, view.read_until('"chat"').splitlines())
        assert (think["name"], think["status"], think["service"]) == ("think", "ERROR", "agent-a")
        assert think["parent_span_id"] == chat["span_id"]
        assert think["events"][0]["attributes"]["exception.type"] == "KeyError"
        assert think["scope"] == {"name": "demo", "version": "1"}


class TestEnd:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_signal(self, start_view: Callable[..., Any], number: signal.Signals) -> None:
        """It prints what it holds, says nothing else, and exits with 0 within two seconds."""
        view = start_view("--quiet-after", "3600")
        export_failing_chat(exporters(view)[0])
        began = time.monotonic()
        view.process.send_signal(number)
        out, err = view.process.communicate(timeout=10)
        assert time.monotonic() - began < 2
        assert view.process.returncode == 0
        assert out.count("agent-a") == 2
        assert err == ""

    def test_reader_leaves(self, start_view: Callable[..., Any]) -> None:
        """When the other end of the pipe closes, it ends quietly, without waiting for the next span."""
        view = start_view("--json")
        view.process.stdout.close()
        assert view.process.wait(10) == 0
        assert view.process.stderr.read() == ""

    def test_reader_leaves_while_it_writes(self, start_view: Callable[..., Any], make_request: MakeRequest) -> None:
        """The same when the pipe is full and the write is what fails."""
        view = start_view("--json")
        assert post(view, make_request("x" * 1_000_000).SerializeToString()) == 200
        view.process.stdout.read(1)
        view.process.stdout.close()
        assert view.process.wait(10) == 0
        assert view.process.stderr.read() == ""

    @pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")  # noqa: PTH110
    def test_disk_full(self, start_view: Callable[..., Any], make_request: MakeRequest) -> None:
        with open("/dev/full", "w") as full:  # noqa: PTH123
            view = start_view("--json", stdout=full)
        post(view, make_request("a").SerializeToString())
        assert view.process.wait(10) == 1
        assert view.process.stderr.read() == "tracebaton view: cannot write to stdout: No space left on device\n"

    def test_second_signal(self, start_view: Callable[..., Any], make_request: MakeRequest) -> None:
        """With nobody reading a full stdout it cannot print what it holds; a second Ctrl-C ends it all the same."""
        view = start_view("--quiet-after", "3600")
        for number in range(20):  # a longer name would be cut, and a pipe has room for 64 KiB
            assert post(view, make_request(f"{number} {'x' * 9_000}").SerializeToString()) == 200
        view.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and accepts(view.http):
            pass  # until it has begun to end
        assert not accepts(view.http)
        view.process.send_signal(signal.SIGTERM)
        assert view.process.wait(10) == -signal.SIGTERM

    def test_signal_in_another_thread(self) -> None:
        """The system may hand a signal to any thread; the one that waits wakes up all the same."""

        async def wait() -> list[Any] | None:
            intake = Intake()
            _stop_on_signal(intake.stop)
            threading.Thread(
                target=lambda: signal.pthread_kill(threading.get_ident(), signal.SIGTERM), daemon=True
            ).start()
            return await intake.get(20)

        before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
        try:
            assert asyncio.run(wait()) is None
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)


class TestOddities:
    def test_malformed_payloads_do_not_stop_it(self, start_view: Callable[..., Any], make_request: MakeRequest) -> None:
        """They are refused, counted, and told at the end."""
        view = start_view("--quiet-after", "0.1")
        assert post(view, b"\xff\xff") == 400
        assert post(view, b"{", "application/json") == 400
        assert post(view, make_request("bad", trace_id=b"short").SerializeToString()) == 200
        assert post(view, make_request("good").SerializeToString()) == 200
        view.read_until("good")
        view.process.send_signal(signal.SIGTERM)
        _, err = view.process.communicate(timeout=10)
        assert err == "dropped 1 spans with invalid ids; refused 2 malformed payloads\n"

    def test_late_addition(self, start_view: Callable[..., Any], make_request: MakeRequest) -> None:
        view = start_view("--quiet-after", "0.1")
        post(view, make_request("first").SerializeToString())
        view.read_until("first")
        post(view, make_request("first", "second").SerializeToString())
        lines = view.read_until("second").splitlines()
        assert "(late addition" in lines[-2]
        assert sum("first" in line for line in lines) == 1

    def test_max_traces(self, start_view: Callable[..., Any], make_request: MakeRequest) -> None:
        view = start_view("--quiet-after", "3600", "--max-traces", "1")
        post(view, make_request("old").SerializeToString())
        post(view, make_request("new", trace_id=b"\x02" * 16).SerializeToString())
        assert "(printed early" in view.read_until("old")


class TestPlainInstallation:
    """`pip install tracebaton`, which brings neither uvicorn nor rich."""

    CODE = (
        "import sys; sys.modules.update(dict.fromkeys(('rich', 'starlette', 'uvicorn'))); "
        "from tracebaton.cli import main; sys.exit(main())"
    )
    SENTENCE = "OTLP over HTTP needs pip install 'tracebaton[view]'"
    SENTENCES = f"{SENTENCE}; the page needs pip install 'tracebaton[view]'"

    def start(self, *options: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", self.CODE, "view", *options]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def test_grpc_alone(self) -> None:
        """The line of the start says what to install."""
        with self.start("--grpc-port", "0", "--json") as process:
            assert process.stderr is not None
            assert process.stdout is not None
            line = process.stderr.readline()
            found = re.fullmatch(
                rf"listening for OTLP on grpc://(\S+); {re.escape(self.SENTENCES)}; Ctrl-C ends\n", line
            )
            assert found, line + process.stderr.read()
            export_failing_chat(GrpcExporter(endpoint=found[1], insecure=True))
            assert "think" in process.stdout.readline()
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 0

    def test_a_port_that_is_asked_for(self) -> None:
        with self.start("--http-port", "0", "--grpc-port", "0", "--json") as process:
            out, err = process.communicate(timeout=20)
        assert (process.returncode, out, err) == (2, "", f"tracebaton view: --http-port: {self.SENTENCE}\n")

    def test_trees(self) -> None:
        with self.start("--grpc-port", "0") as process:
            out, err = process.communicate(timeout=20)
        sentence = "trees of traces need pip install 'tracebaton[view]'; --json prints spans without it"
        assert (process.returncode, out, err) == (2, "", f"tracebaton view: {sentence}\n")


class TestCannotListen:
    @pytest.mark.parametrize("option", ["--grpc-port", "--http-port"])
    def test_taken_port(self, run_view: Callable[..., Any], option: str) -> None:
        """One sentence that names the port and the option, and exit status 1."""
        other = "--http-port" if option == "--grpc-port" else "--grpc-port"
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = str(taken.getsockname()[1])
            result = run_view(option, port, other, "0")
        assert result.returncode == 1
        sentence = f"tracebaton view: port {port} on 127.0.0.1 is already in use; choose another with {option}\n"
        assert (result.stdout, result.stderr) == ("", sentence)

    def test_second_viewer(self, start_view: Callable[..., Any], run_view: Callable[..., Any]) -> None:
        """Left to itself, gRPC lets two servers share a port in silence."""
        view = start_view()
        port = view.grpc.rpartition(":")[2]
        result = run_view("--grpc-port", port, "--http-port", "0")
        assert result.returncode == 1
        assert f"port {port} on 127.0.0.1 is already in use" in result.stderr

    @pytest.mark.parametrize("host", ["192.0.2.1", "name.invalid"])
    def test_foreign_address(self, run_view: Callable[..., Any], host: str) -> None:
        result = run_view("--host", host)
        assert result.returncode == 1
        assert "no address of this machine; see --host" in result.stderr
        assert result.stderr.count("\n") == 1

    @pytest.mark.parametrize(
        "options", [["--grpc-port", "65536"], ["--http-port", "x"], ["--max-traces", "0"], ["--quiet-after", "nan"]]
    )
    def test_wrong_option(self, run_view: Callable[..., Any], options: list[str]) -> None:
        result = run_view(*options)
        assert result.returncode == 2
        assert options[1] in result.stderr

    def test_ipv6(self, start_view: Callable[..., Any], make_request: MakeRequest) -> None:
        if not socket.has_ipv6:
            pytest.skip("no IPv6 here")
        try:
            socket.create_server(("::1", 0), family=socket.AF_INET6).close()
        except OSError:
            pytest.skip("no IPv6 here")
        view = start_view("--host", "::1", "--quiet-after", "0.1")
        assert view.http.startswith("http://[::1]:")
        export_failing_chat(exporters(view)[0])
        assert post(view, make_request("six").SerializeToString()) == 200
        view.read_until("six")
        view.read_until("think")


def accepts(url: str) -> bool:
    host, _, port = url.removeprefix("http://").rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except OSError:
        return False
    return True


def test_help_is_cheap(tmp_path: Any) -> None:
    """Declaring the options imports neither gRPC, protobuf nor rich."""
    code = (
        "import argparse, sys; from tracebaton.view import add_arguments; add_arguments(argparse.ArgumentParser());"
        "print(sorted({'grpc', 'google.protobuf', 'rich', 'opentelemetry'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"
