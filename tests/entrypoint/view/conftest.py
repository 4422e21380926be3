"""What the tests of `tracebaton view` share: spans to feed it, a receiver in this process, the command in another."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # hostile.py

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tracebaton.view.spans import Span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

_COMMAND = (
    "import argparse, sys; from tracebaton.view import add_arguments, main; "
    "parser = argparse.ArgumentParser(prog='tracebaton view'); add_arguments(parser); "
    "sys.exit(main(parser.parse_args()))"
)


@pytest.fixture
def make_span() -> Callable[..., Span]:
    """A span of one millisecond; `span_id=3` and `parent=2` stand for the ids with these numbers."""

    def make(span_id: int = 1, parent: int = 0, *, trace: int = 1, **values: Any) -> Span:
        known: dict[str, Any] = {
            "trace_id": f"{trace:032x}",
            "span_id": f"{span_id:016x}",
            "parent_span_id": f"{parent:016x}" if parent else "",
            "name": f"span {span_id}",
            "kind": "INTERNAL",
            "start_ns": span_id * 1_000_000,
            "end_ns": (span_id + 1) * 1_000_000,
            "service": "agent-a",
            "status": "UNSET",
            "status_message": "",
            "attributes": {},
            "resource": {},
            "scope_name": "demo",
            "scope_version": "1",
        }
        return Span(**{**known, **values})

    return make


@pytest.fixture
def make_request() -> Callable[..., ExportTraceServiceRequest]:
    """An OTLP export request of one span per given name."""

    def make(*names: str, trace_id: bytes = b"\x01" * 16) -> ExportTraceServiceRequest:
        request = ExportTraceServiceRequest()
        resource_spans = request.resource_spans.add()
        attribute = resource_spans.resource.attributes.add(key="service.name")
        attribute.value.string_value = "agent-a"
        scope_spans = resource_spans.scope_spans.add()
        for number, name in enumerate(names, start=1):
            scope_spans.spans.add(
                trace_id=trace_id,
                span_id=number.to_bytes(8, "big"),
                name=name,
                start_time_unix_nano=1_000_000,
                end_time_unix_nano=3_500_000,
            )
        return request

    return make


@pytest.fixture(scope="module")
def listening(listen: Callable[..., AbstractContextManager[Any]]) -> Iterator[Any]:
    """A receiver in this process, and where its spans come out."""
    with listen() as made:
        yield made


@dataclass
class View:
    """`tracebaton view` in a process of its own."""

    process: subprocess.Popen[str]
    grpc: str
    http: str
    lines: list[str] = field(default_factory=list)

    def read_until(self, wanted: str, seconds: float = 15) -> str:
        """Read stdout up to a line that contains `wanted`, and return all of it so far."""
        assert self.process.stdout is not None
        watchdog = threading.Timer(seconds, self.process.kill)
        watchdog.start()
        try:
            while not any(wanted in line for line in self.lines):
                line = self.process.stdout.readline()
                assert line, f"stdout ended without {wanted!r}: {self.lines}"
                self.lines.append(line)
        finally:
            watchdog.cancel()
        return "".join(self.lines)


@pytest.fixture
def start_view() -> Iterator[Callable[..., View]]:
    """Starts the command on free ports and returns once it listens; ends what is left over."""
    yield from _starting()


@pytest.fixture(scope="module")
def start_view_once() -> Iterator[Callable[..., View]]:
    """The same, for a process that the tests of a module share."""
    yield from _starting()


def _starting() -> Iterator[Callable[..., View]]:
    started: list[subprocess.Popen[str]] = []

    def start(*options: str, **popen: Any) -> View:
        process = subprocess.Popen(
            [sys.executable, "-c", _COMMAND, "--grpc-port", "0", "--http-port", "0", "--no-web", *options],
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "encoding": "utf-8", **popen},
            env={**os.environ, "PYTHONUTF8": "1"},
        )
        started.append(process)
        assert process.stderr is not None
        line = process.stderr.readline()
        found = re.fullmatch(r"listening for OTLP on grpc://(\S+:\d+) and (http://\S+:\d+); Ctrl-C ends\n", line)
        assert found, line + process.stderr.read()
        return View(process, found[1], found[2])

    yield start
    for process in started:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


@pytest.fixture
def run_view() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the command with options that make it end by itself."""

    def run(*options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", _COMMAND, *options], capture_output=True, text=True, timeout=20, check=False
        )

    return run
