"""What of the queue waits in the spool, if there is one: what goes wrong there is said and counted, not raised."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from tracebaton_configurator.export.backlog import Batch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tracebaton_configurator.export.export_status import ExportStatus
    from tracebaton_configurator.export.spool import Spool


class Spooled:
    """Without a spool, nothing can be put there, and nothing is there."""

    def __init__(self, spool: Spool | None, status: ExportStatus) -> None:
        self._spool = spool
        self._status = status

    def put(self, batch: Batch) -> bool:
        """Whether it is there now."""
        put = False
        if self._spool is not None:
            with self._accounted(self._spool):
                self._spool.put(batch.payload, batch.spans)
                self._status.counters.spooled += batch.spans
                put = True
        return put

    def next(self) -> Batch | None:
        """The oldest that can be read."""
        if self._spool is not None:
            with self._accounted(self._spool):
                self._spool.recover()
                while (entry := self._spool.oldest()) is not None:
                    payload = self._spool.read(entry)
                    if payload is not None:
                        return Batch(payload, entry.spans, entry)
        return None

    def remove(self, batch: Batch) -> None:
        """It has been delivered, or will never be; if it is from there."""
        if batch.entry is not None and self._spool is not None:
            with self._accounted(self._spool):
                self._spool.remove(batch.entry)

    def postpone(self, batch: Batch) -> None:
        """Others go first."""
        if batch.entry is not None and self._spool is not None:
            with suppress(OSError):
                self._spool.postpone(batch.entry)

    def close(self) -> None:
        if self._spool is not None:
            with suppress(OSError):
                self._spool.close()

    @contextmanager
    def _accounted(self, spool: Spool) -> Iterator[None]:
        """Count what the spool has lost meanwhile, and say what it has found."""
        try:
            yield
        except OSError as error:
            self._status.spool_failed(error)
        evicted, spool.evicted = spool.evicted, 0
        self._status.lose("the spool was full", evicted)
        spans, spool.corrupt_spans = spool.corrupt_spans, 0
        self._status.counters.drop("their file in the spool was corrupt", spans)
        files, spool.corrupt_files = spool.corrupt_files, 0
        if files:
            self._status.counters.corrupt += files
            self._status.corrupt(files, spans)
        while spool.remarks:
            self._status.remark(spool.remarks.pop(0))
