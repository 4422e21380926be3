"""Batches that wait on disk for the receiver to come back, in this process or in the next.

    DIRECTORY/<writer>/lock                  held with flock(2) for as long as the writer lives
    DIRECTORY/<writer>/<time>-<number>.otlp  batches, one behind the other, that are still OTLP (see `spool_segment`)
    DIRECTORY/corrupt-<uid>/<time>-<name>    what made no sense

Any file can be sent by hand: `curl --data-binary @FILE -H 'content-type: application/x-protobuf' URL/v1/traces`.

Constraints
 1. Several processes write at once: workers, forked children, containers on one volume, also two with the same PID.
 2. A process may be killed between any two system calls, and any system call may fail. There is no fsync(2): a machine
    that loses power may lose batches, and leave files that are cut off or full of zeros.
 3. The directory may be shared with other users, as /tmp is, and somebody may have put anything there.
 4. The thread that delivers works here, and at the end of a process a second one; neither may be held up.

Invariants
 1. Every writer has a directory of its own, whose lock it holds; nobody else adds to it or delivers from it meanwhile.
    A lock that can be had means a writer that is dead; whoever has it recovers what is there.
 2. `put` has either written a batch as a whole or raises OSError, and then the file is what it was before (where even
    that fails, nothing is added to it any more). A writer that is killed in `put` loses that batch at most; one that
    is cut off is counted by whoever recovers it.
 3. A batch that was put is returned by `oldest` and `read` until it is removed, or had to make room, or its checksum
    is wrong; the second and the third are counted, in spans (`evicted`, `corrupt_spans`). Within a file, the order is
    that of `put`. Nothing is returned again once it was removed, except, after a kill, the last one.
 4. What this user has there takes at most `most_bytes` of disk, in blocks and with directories, and at most one file
    or directory for every 8 KiB of that (256 at least), over all writers. Writers that put at the same moment may
    overshoot by a batch, or a 256th of the bound, each; the next `put` mends that. The oldest files go first, and
    corrupt ones before them. A file to which a batch is added, or from which one is delivered, is locked, and stays.
 5. One directory is held, this process's own, to which what a dead writer has left is moved, and at most ten
    descriptors are open, whatever lies there. Each file gets its turn: one that cannot be delivered does not keep
    others waiting.
 6. Nothing is opened but directories and regular files of this user, relative to their directory, without following
    a link; all else is left alone, which is said once. No more than a batch is in memory, and nothing larger than a
    segment is read.
 7. A file in which something is wrong is moved to `corrupt-<uid>`, once what is right in it has been delivered.
 8. No call waits: locks are tried, and a second thread gives up after half a second.
 9. A forked child holds nothing of its parent's after `forget`.

tests/configurator/export/test_spool_model.py holds the code to this, on a file system that fails.
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from tracebaton_configurator.export.forks import importing
from tracebaton_configurator.export.spool_bound import BLOCK, ROUNDS, Bound
from tracebaton_configurator.export.spool_directory import opened_root, set_aside
from tracebaton_configurator.export.spool_file import Entry, Segment, SpoolReader
from tracebaton_configurator.export.spool_own import OwnDirectory
from tracebaton_configurator.export.spool_segment import HEADER, MOST_BATCH
from tracebaton_configurator.patching import os_threads

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Entry", "Spool"]

# Seconds between two looks for what dead processes have left behind.
_LOOK_EVERY = 30.0
# Seconds for which a second thread waits for one that a disk holds up.
_STUCK = 0.5
# A file is as large as this part of the bound, so that one that makes room does not take much with it.
_SEGMENTS = 16
_LARGEST_SEGMENT = 1 << 20


class Spool:
    """What this process writes, and what it has recovered. Public methods raise OSError."""

    def __init__(self, directory: str, most_bytes: int) -> None:
        with suppress(OSError):  # a working directory that is gone
            directory = os.path.abspath(directory)  # noqa: PTH100 (the application may change its directory)
        self._path = directory.rstrip("/") or "/"
        self._bound = Bound(self._path, most_bytes)
        self._segment_size = min(max(most_bytes // _SEGMENTS, BLOCK), _LARGEST_SEGMENT)
        self._own = OwnDirectory(self._path)
        self._segment: Segment | None = None
        self._reader: SpoolReader | None = None
        self._begin()

    def _begin(self) -> None:
        self._using = os_threads.allocate_lock()
        self._bound.forget()
        self._looked = float("-inf")
        self._last_time = self._number = 0
        self._has_remarked = False
        self.evicted = self.corrupt_spans = self.corrupt_files = 0
        self.remarks: list[str] = []

    def put(self, payload: bytes, spans: int) -> None:
        """Write a batch; older ones may have to make room for it (`evicted`)."""
        size = HEADER + len(payload)
        if len(payload) > MOST_BATCH or size > self._bound.bytes:
            raise OSError(f"a batch of {len(payload)} bytes is larger than the spool takes")
        with self._used():
            self._hold_own()
            self.evicted += self._bound.make_room(size)
            self._remark_on_others()
            self._append(payload, spans, size)
            self._bound.added(size, 0)

    def oldest(self) -> Entry | None:
        """The oldest batch that this process may deliver, of its own or of a writer that is dead."""
        with self._used():
            while self._reader is not None or self._next_reader():
                try:
                    entry = self._reader.current() if self._reader else None
                except OSError:
                    self._close_reader()  # others have their turn
                    raise
                if entry is not None:
                    return entry
                self._finish_reader()
            return None

    def read(self, entry: Entry) -> bytes | None:
        """What is in it; None where it is corrupt, or is not the oldest any more."""
        with self._used():
            if self._reader is None or self._reader.current() != entry:
                return None
            try:
                return self._reader.payload()
            except OSError:
                self._reader.postpone()
                raise

    def remove(self, entry: Entry) -> None:
        """It has been delivered, or will never be."""
        with self._used():
            if self._reader is not None and self._reader.current() == entry:
                self._reader.delivered()
                if self._reader.current() is None:
                    self._finish_reader()

    def postpone(self, entry: Entry) -> None:
        """Set it behind all the others that are there."""
        with self._used():
            if self._reader is not None and self._reader.current() == entry:
                self._reader.postpone()

    def recover(self) -> None:
        """Look, now and then, for what dead processes have left; `oldest` then takes over one after the other."""
        now = time.monotonic()
        if self._own.is_looking or now - self._looked < _LOOK_EVERY:
            return
        self._looked = now
        with self._used(), suppress(FileNotFoundError):
            self._bound.look()
            self._remark_on_others()
            self._own.is_looking = True

    def close(self) -> None:
        """Let go of everything; what is empty disappears, the rest waits for the next process."""
        with self._used():
            self._close_segment()
            self._close_reader()
            self._own.release()

    def forget(self) -> None:
        """In a forked child: what the parent holds stays the parent's."""
        for held in (self._segment, self._reader):
            if held is not None:
                held.close()
        self._segment = self._reader = None
        self._own.forget()
        self._begin()

    @contextmanager
    def _used(self) -> Iterator[None]:
        if not self._using.acquire(timeout=_STUCK):
            raise TimeoutError("another thread has been waiting for the disk for too long")
        try:
            yield
        finally:
            self._using.release()

    def _hold_own(self) -> None:
        if self._own.is_removed():
            self._close_segment()
            self._close_reader()
            self._own.forget()
        if self._own.hold():
            self._bound.forget()

    def _next_time(self) -> int:
        """Nanoseconds since the epoch, later than ever before: a clock may be set back."""
        self._number += 1
        self._last_time = max(time.time_ns(), self._last_time + 1)
        return self._last_time

    def _append(self, payload: bytes, spans: int, size: int) -> None:
        for _ in range(ROUNDS):
            if self._segment is None or not self._segment.takes(size, self._segment_size):
                self._close_segment()
                self._hold_own()
                with importing():
                    self._segment = Segment.create(self._own.directory, self._next_time(), self._number)
                self._bound.added(BLOCK, 1)
            if self._segment.append(payload, spans):
                return
            self._close_segment()  # somebody has removed it, to make room
        raise OSError("whatever is written there is removed at once")

    def _next_reader(self) -> bool:
        """Open the oldest segment that can be opened; whether there was one."""
        for _ in range(2):  # what was left in the first pass waited until others had their turn
            while self._reader is None and (name := self._own.next_name()) is not None:
                if self._segment is not None and name.text == self._segment.name:
                    self._close_segment()
                with importing():
                    self._reader = SpoolReader.open(self._own.directory, name)
            if self._reader is not None:
                return True
        return False

    def _finish_reader(self) -> None:
        """A file that has been read to its end goes, unless something was left in it."""
        reader, self._reader = self._reader, None
        if reader is None:
            return
        try:
            if reader.postponed and not reader.unmarked:
                return
            if reader.corrupt:
                self.corrupt_spans += reader.lost
                self.corrupt_files += 1
                with suppress(OSError), opened_root(self._path) as root:
                    set_aside(root, reader.directory, reader.name.text, time.time_ns())
                    return
            if not reader.postponed:
                with suppress(OSError):
                    self._bound.removed(reader.remove())
                    return
            # On a disk that has become read-only it would be delivered, or counted, again and again.
            self._own.pass_over(reader.name)
        finally:
            reader.close()

    def _close_reader(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    def _close_segment(self) -> None:
        segment, self._segment = self._segment, None
        if segment is not None:
            segment.finish()

    def _remark_on_others(self) -> None:
        if self._bound.others and not self._has_remarked:
            self._has_remarked = True
            self.remarks.append(
                f"{self._path} holds what belongs to other users, or is no file or directory, under names of the "
                "spool's; it is left alone"
            )
