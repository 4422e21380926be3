"""An exporter that is built when there is something to export.

gRPC, protobuf and what they bring cost a process some 80 ms of CPU and 15 MB, which its start should not wait for. And
nothing of gRPC exists in a process that forks before it has exported, which gRPC does not survive otherwise.
"""

from __future__ import annotations

import threading
from importlib import import_module
from typing import TYPE_CHECKING

from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

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
