"""The exporter is built by the first export, and by nothing else."""

from __future__ import annotations

import subprocess
import sys
import threading

from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tracebaton_configurator.export.upstream_processor import LazyExporter


def fail(error: Exception) -> None:
    raise AssertionError from error


def test_it_is_built_once_by_the_first_export() -> None:
    built: list[SpanExporter] = []

    def build() -> SpanExporter:
        built.append(InMemorySpanExporter())
        return built[-1]

    exporter = LazyExporter(build, fail)
    exporter.force_flush()
    assert built == []
    threads = [threading.Thread(target=exporter.export, args=([],)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(built) == 1
    exporter.shutdown()
    assert built[0].export([]) is SpanExportResult.FAILURE


def test_one_that_cannot_be_built_is_said_once_and_fails_every_export() -> None:
    errors: list[Exception] = []

    def build() -> SpanExporter:
        raise ValueError("no")

    exporter = LazyExporter(build, errors.append)
    assert [exporter.export([]) for _ in range(3)] == [SpanExportResult.FAILURE] * 3
    assert [str(error) for error in errors] == ["no"]
    exporter.shutdown()


def test_shutdown_of_what_was_never_used_builds_nothing() -> None:
    LazyExporter(lambda: fail(ValueError()), fail).shutdown()  # type: ignore[func-returns-value, arg-type, return-value]


def test_a_process_that_has_exported_nothing_has_not_imported_grpc() -> None:
    code = (
        "import sys\n"
        "from tracebaton_configurator.configurator import OpenTelemetryConfigurator\n"
        "OpenTelemetryConfigurator().configure()\n"
        "from opentelemetry import trace; trace.get_tracer('t').start_span('x').end()\n"
        "heavy = {'grpc', 'requests', 'rich', 'google.protobuf'} & sys.modules.keys()\n"
        "assert not heavy, heavy\n"
        "import os; os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, stderr=subprocess.DEVNULL)
