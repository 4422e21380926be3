"""The segment that this process adds to."""

from __future__ import annotations

import os
from contextlib import suppress

from tracebaton_configurator.export.spool_directory import create_file, is_removed, try_lock, unlock
from tracebaton_configurator.export.spool_segment import append, name_of


class Segment:
    """Locked while a batch is added, so that nobody who makes room removes it, or counts what is in it, meanwhile."""

    def __init__(self, directory: int, name: str, descriptor: int) -> None:
        self._directory = directory
        self.name = name
        self._descriptor = descriptor
        self._end = 0
        self._whole = True

    @classmethod
    def create(cls, directory: int, when: int, number: int) -> Segment:
        """A new one (OSError). `when` is in nanoseconds since the epoch."""
        name = name_of(when, number)
        return cls(directory, name, create_file(directory, name))

    def takes(self, size: int, most: int) -> bool:
        """Whether so many more bytes leave it within `most`; a first batch always does."""
        return self._whole and (not self._end or self._end + size <= most)

    def append(self, payload: bytes, spans: int) -> bool:
        """Add a batch; False where the file has been removed, or somebody is about to remove it (OSError)."""
        if not try_lock(self._descriptor):
            return False
        try:
            if is_removed(self._descriptor):
                return False
            self._whole = False  # what has failed once is not written to again: it may be as large as it may be
            self._end = append(self._descriptor, self._end, payload, spans)
            self._whole = True
        finally:
            unlock(self._descriptor)
        return True

    def finish(self) -> None:
        """Nothing more is added."""
        if not self._end:
            with suppress(OSError):
                os.unlink(self.name, dir_fd=self._directory)
        self.close()

    def close(self) -> None:
        with suppress(OSError):
            os.close(self._descriptor)
