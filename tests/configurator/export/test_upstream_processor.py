"""The batch processor's end is bounded."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tracebaton_configurator.export.upstream_processor import BoundedBatchSpanProcessor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.trace import ReadableSpan


class Hanging(SpanExporter):
    def __init__(self) -> None:
        self.released = threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.released.wait(30)
        return SpanExportResult.FAILURE

    def shutdown(self) -> None:
        self.released.set()


def end_one_span(exporter: SpanExporter) -> TracerProvider:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BoundedBatchSpanProcessor("test", exporter, 60_000, 0.5))
    provider.get_tracer("test").start_span("one").end()
    return provider


def test_shutdown_delivers_what_is_queued() -> None:
    exporter = InMemorySpanExporter()
    end_one_span(exporter).shutdown()
    assert [span.name for span in exporter.get_finished_spans()] == ["one"]


def test_shutdown_gives_up_on_an_exporter_that_hangs() -> None:
    provider = end_one_span(Hanging())
    started = time.monotonic()
    provider.shutdown()
    assert time.monotonic() - started < 5


def test_upstream_still_has_what_this_relies_on() -> None:
    """Fails when the SDK changes: then the bound has to come from somewhere else."""
    import inspect

    processor = BoundedBatchSpanProcessor("test", InMemorySpanExporter(), 60_000, 0.5)
    assert "timeout_millis" in inspect.signature(processor._batch_processor.shutdown).parameters
    processor.shutdown()
