"""Exporters of others: built when there is something to export, behind upstream's processor with an end in time.

gRPC, protobuf and what they bring cost a process some 80 ms of CPU and 15 MB, which its start should not wait for. And
nothing of gRPC exists in a process that forks before it has exported, which gRPC does not survive otherwise.
"""

from __future__ import annotations

import threading
from importlib import import_module
from typing import TYPE_CHECKING

from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from tracebaton_configurator.export.sigterm import sigterm

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.sdk.trace import ReadableSpan


def import_early() -> None:
    """Import what upstream's exporters import, and what starts a thread while it is imported.

    The first export may be the last one, at the end of the process, when no thread can be started any more
    (opentelemetry-sdk 1.42.0 to 1.45.2, sdk/_logs/_internal: a class attribute is `Resource.create({})`).
    """
    import_module("opentelemetry.sdk._logs")


class LazyExporter(SpanExporter):
    """Passes everything on to what `build` returns, which is called once, by the first export.

    Where `build` raises, `on_error` is called with the exception, once, and every export fails.
    """

    def __init__(self, build: Callable[[], SpanExporter], on_error: Callable[[Exception], object]) -> None:
        self._build = build
        self._on_error = on_error
        self._exporter: SpanExporter | None = None
        self._broken = False
        import_early()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        exporter = self._get()
        return SpanExportResult.FAILURE if exporter is None else exporter.export(spans)

    def shutdown(self, timeout_millis: float = 30_000) -> None:
        """Shut down what was built; `timeout_millis` is passed on to an exporter that takes it."""
        exporter = self._exporter
        if exporter is None:
            return
        try:
            exporter.shutdown(timeout_millis=timeout_millis)  # type: ignore[call-arg]
        except TypeError:
            exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        exporter = self._exporter
        return True if exporter is None else exporter.force_flush(timeout_millis)

    def _get(self) -> SpanExporter | None:
        if self._exporter is None and not self._broken:
            # Made when it is needed, so that it is of the kind that waits here: a greenlet that waited for a lock of
            # the operating system's would keep the others from running, the one that holds it among them.
            with self.__dict__.setdefault("_building", threading.Lock()):
                if self._exporter is None and not self._broken:
                    try:
                        self._exporter = self._build()
                    except Exception as error:  # noqa: BLE001 (whatever a stranger's constructor raises)
                        self._broken = True
                        self._on_error(error)
        return self._exporter


class BoundedBatchSpanProcessor(BatchSpanProcessor):
    """`shutdown` delivers what is queued and gives up after `shutdown_timeout` seconds; upstream waits 30.

    Checked with SDK 1.42.0 to 1.45.2, whose `BatchProcessor.shutdown(timeout_millis)` waits for its own thread that
    long and then cancels the export under way (opentelemetry/sdk/_shared_internal/__init__.py). Where that is not to be
    found, upstream's own shutdown runs, and the exit's own bound holds (`export.exits`).
    """

    def __init__(self, name: str, exporter: SpanExporter, schedule_delay_ms: int, shutdown_timeout: float) -> None:
        super().__init__(exporter, schedule_delay_millis=schedule_delay_ms)
        self.name = f"The exporter {name}"
        self._shutdown_timeout = shutdown_timeout
        self._held = False

    def on_end(self, span: ReadableSpan) -> None:
        super().on_end(span)
        if not self._held:
            # For good: nobody says when upstream's queue is empty again.
            self._held = True
            sigterm.hold_for_good()

    def shutdown(self) -> None:
        batch = getattr(self, "_batch_processor", None)
        if batch is None:
            super().shutdown()
        else:
            batch.shutdown(timeout_millis=round(self._shutdown_timeout * 1000))
