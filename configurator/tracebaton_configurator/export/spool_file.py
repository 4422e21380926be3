"""The segment that this process adds to, and the one that it reads batch by batch."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import NamedTuple

from tracebaton_configurator.export.spool_directory import create_file, is_removed, open_file, try_lock, unlock
from tracebaton_configurator.export.spool_segment import (
    MOST_SEGMENT,
    Name,
    SpoolRecord,
    append,
    mark_delivered,
    name_of,
    read_payload,
    read_record,
)

# A batch that was postponed is tried again once so many behind it in its file have been delivered, or all of them.
_TURNS = 8


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


class Entry(NamedTuple):
    """A batch on disk: its file, its place there, and how many spans are in it."""

    file: str
    at: int
    size: int
    spans: int


class SpoolReader:
    """One segment, locked for as long as it is open, so that nobody removes it to make room meanwhile.

    `lost` counts the spans that could not be read, one at least for whatever made no sense.
    """

    def __init__(self, directory: int, name: Name, descriptor: int) -> None:
        self.directory = directory
        self.name = name
        self._descriptor = descriptor
        self._size = os.fstat(descriptor).st_size
        self._at = 0
        self._record: SpoolRecord | None = None
        self.lost = 0
        self.corrupt = False
        self.unmarked = False
        self._later: list[SpoolRecord] = []
        self._passed = 0
        if self._size > MOST_SEGMENT or not name.complete:
            self._give_up(name.spans or 1)

    @classmethod
    def open(cls, directory: int, name: Name) -> SpoolReader | None:
        """None where it is gone, not a file of this user's, or in use (OSError)."""
        try:
            descriptor = open_file(directory, name.text)
        except FileNotFoundError:
            return None
        reader = None
        try:
            if descriptor is not None and try_lock(descriptor):
                reader = cls(directory, name, descriptor)
        finally:
            if descriptor is not None and reader is None:
                os.close(descriptor)
        return reader

    @property
    def postponed(self) -> bool:
        """Whether something has been left for when the directory is read again."""
        return bool(self._later)

    def current(self) -> Entry | None:
        """The batch whose turn it is; None at the end of the file (OSError)."""
        if self._record is None and self._later and self._passed >= (_TURNS if self._at < self._size else 1):
            self._record = self._later.pop(0)
        if self._record is not None:
            return self._entry(self._record)
        while self._at < self._size:
            record = read_record(self._descriptor, self.name, self._at, self._size)
            if record is None:
                self._give_up(1)
            elif record.payload_at + record.size > self._size:
                self._give_up(0 if record.delivered else record.spans)
            elif record.delivered:
                self._pass(record)
            else:
                self._record = record
                return self._entry(record)
        if self._later and self._passed:
            return self.current()
        # A file of 0.1.0 may have been cut down to nothing.
        if not self._size and self.name.spans is not None and not self.corrupt:
            self._give_up(self.name.spans)
        return None

    def payload(self) -> bytes | None:
        """What is in the current batch; None, and it is passed over, where that is corrupt (OSError)."""
        record = self._record
        if record is None:
            return None
        payload = read_payload(self._descriptor, record)
        if payload is None:
            self.corrupt = True
            self.lost += record.spans
            self._pass(record)
        return payload

    def delivered(self) -> None:
        """The current batch is done with."""
        record = self._record
        if record is None:
            return
        self._pass(record)
        self._passed += 1
        # The last one goes with its file.
        if self.name.spans is None and (self._at < self._size or self.postponed or self.corrupt):
            try:
                mark_delivered(self._descriptor, record)
            except OSError:
                self.unmarked = True

    def postpone(self) -> None:
        """Let others go before the current batch: some of those in this file, and then all in the others."""
        if self._record is not None:
            self._later.append(self._record)
            self._passed = 0
            self._pass(self._record)

    def remove(self) -> int:
        """Remove the file; returns its size (OSError)."""
        os.unlink(self.name.text, dir_fd=self.directory)
        return self._size

    def close(self) -> None:
        """In a forked child, this leaves the parent's lock as it is."""
        with suppress(OSError):
            os.close(self._descriptor)

    def _entry(self, record: SpoolRecord) -> Entry:
        return Entry(self.name.text, record.at, record.size, record.spans)

    def _pass(self, record: SpoolRecord) -> None:
        self._at = max(self._at, record.payload_at + record.size)
        self._record = None

    def _give_up(self, spans: int) -> None:
        self.corrupt = True
        self.lost += spans
        self._at = self._size
