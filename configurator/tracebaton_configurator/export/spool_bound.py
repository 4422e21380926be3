"""How much of the disk the spool takes, over all the writers of this user, and what has to go when that is too much."""

from __future__ import annotations

import heapq
import os
import stat
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from tracebaton_configurator.export.forks import importing
from tracebaton_configurator.export.spool_directory import (
    corrupt_name,
    is_ours,
    lock_writer,
    open_file,
    opened_directory,
    opened_root,
    release_writer,
    try_lock,
    unlock,
    writer_names,
)
from tracebaton_configurator.export.spool_segment import parse_name, spans_left

if TYPE_CHECKING:
    from collections.abc import Iterator

# A directory and the smallest file take a block each; the smallest bound, of 1 MB, leaves room for a few writers.
BLOCK = 4096
_LEAST_FILES = 256
_BYTES_FOR_A_FILE = 2 * BLOCK
# A writer looks at the disk again after this part of the bound, or so many seconds.
_UNSEEN = 1 / 256
_UNSEEN_SECONDS = 1.0
# When room has to be made, this part of the bound is freed at once, so that not every batch has to look for room.
_FREED = 0.05
# Other writers that make room at the same time remove what this one has seen, and fill the room: it is tried so often.
ROUNDS = 10
# How many of the oldest files are remembered while the directory is looked through.
_MOST_CANDIDATES = 1000


class Candidate(NamedTuple):
    """What may be removed. Sorted, what is missed least comes first. Without a `name`: an empty directory."""

    rank: int
    time: int
    number: int
    directory: str
    name: str
    bytes: int


class Usage(NamedTuple):
    """What is there: bytes of disk, files and directories, what could go, and how much is not this user's own.

    `others` counts what stands where writers' directories and batches stand and belongs to another user, or is no
    directory or regular file. It is not part of the bound.
    """

    bytes: int
    files: int
    candidates: list[Candidate]
    others: int
    corrupt: int


class Bound:
    """The bound of one spool, in bytes of disk and in files, as one writer keeps it."""

    def __init__(self, path: str, most_bytes: int) -> None:
        self._path = path
        self.bytes = most_bytes
        self.files = max(_LEAST_FILES, most_bytes // _BYTES_FOR_A_FILE)
        self.forget()

    def forget(self) -> None:
        """What is there has to be looked at again."""
        self._seen = Usage(0, 0, [], 0, 0)
        self._looked = float("-inf")
        self._unseen = 0.0

    @property
    def others(self) -> int:
        return self._seen.others

    def make_room(self, size: int) -> int:
        """Remove the oldest until `size` more bytes fit; returns how many spans that were.

        OSError where they do not fit even so.
        """
        size += 2 * BLOCK  # for a part of a block, and for a new file or directory
        now = time.monotonic()
        fresh = self._unseen <= self.bytes * _UNSEEN and 0 <= now - self._looked < _UNSEEN_SECONDS
        if fresh and self._fits(size):
            return 0
        lost = 0
        for _ in range(ROUNDS):
            self.look()
            if self._fits(size):
                return lost
            with opened_root(self._path) as root:
                lost += self._evict(root, size)
            if self._fits(size):
                return lost
        raise OSError(f"{self._seen.bytes} bytes are there that cannot be removed; the bound is {self.bytes}")

    def look(self) -> None:
        """Measure what is there (OSError)."""
        with opened_root(self._path) as root:
            self._seen = measure(root)
        self._looked, self._unseen = time.monotonic(), 0.0

    def added(self, size: int, files: int) -> None:
        """Count what this writer has added."""
        self._unseen += size
        self._seen = self._seen._replace(bytes=self._seen.bytes + size, files=self._seen.files + files)

    def removed(self, size: int) -> None:
        """Count a file of so many bytes that this writer has removed."""
        self._seen = self._seen._replace(bytes=max(0, self._seen.bytes - size), files=max(0, self._seen.files - 1))

    def _fits(self, size: float) -> bool:
        return self._seen.bytes + size <= self.bytes and self._seen.files + 2 <= self.files

    def _evict(self, root: int, size: int) -> int:
        lost = 0
        for candidate in self._seen.candidates:
            if self._fits(size + self.bytes * _FREED):
                break
            if not candidate.name:
                self._remove_directory(root, candidate.directory)
                continue
            with suppress(OSError):
                lost += remove_file(root, candidate.directory, candidate.name)
                self.removed(candidate.bytes)
                self._remove_directory(root, candidate.directory)
        return lost

    def _remove_directory(self, root: int, name: str) -> None:
        """Where it is that of a dead writer, and there is nothing left in it."""
        with suppress(OSError), importing():  # see `lock_writer`
            writer = lock_writer(root, name) if name != corrupt_name() else None
            if writer is not None and release_writer(root, writer):
                self.removed(BLOCK)
                self.removed(0)  # its lock


def measure(root: int) -> Usage:
    """Look through all that this user has in the spool (OSError)."""
    total, files, others, corrupt = 0, 0, 0, 0

    def look() -> Iterator[Candidate]:
        nonlocal total, files, others, corrupt
        for name in [*writer_names(root), corrupt_name()]:
            with suppress(OSError), opened_directory(root, name) as directory:
                if directory is None:
                    others += name != corrupt_name()
                    continue
                total += _bytes(os.fstat(directory))
                files += 1
                empty = True
                with os.scandir(directory) as listing:
                    for entry in listing:
                        there = entry.stat(follow_symlinks=False)
                        empty = empty and entry.name == "lock"
                        parsed = parse_name(entry.name)
                        if not is_ours(there, stat.S_ISREG):
                            others += entry.name == "lock" or parsed is not None
                            continue
                        total += _bytes(there)
                        files += 1
                        if name == corrupt_name():
                            corrupt += 1
                            yield Candidate(0, 0, 0, name, entry.name, _bytes(there))
                        elif parsed is not None:
                            yield Candidate(2, parsed.time, parsed.number, name, entry.name, _bytes(there))
                if empty and name != corrupt_name():
                    yield Candidate(1, 0, 0, name, "", BLOCK)

    # `look` has been exhausted before the numbers are read.
    candidates = heapq.nsmallest(_MOST_CANDIDATES, look())
    return Usage(total, files, candidates, others, corrupt)


def remove_file(root: int, directory: str, name: str) -> int:
    """Remove a file; returns how many spans were in it (OSError, also where it is in use)."""
    # A child that is forked in between would keep the file locked.
    with importing(), opened_directory(root, directory) as inside:
        descriptor = None if inside is None else open_file(inside, name, os.O_RDONLY)
        if descriptor is None:
            raise FileNotFoundError(name)
        try:
            # Its writer holds the lock while it adds a batch, and a reader while it delivers.
            if not try_lock(descriptor):
                raise BlockingIOError(name)
            parsed = parse_name(name)
            spans = spans_left(descriptor, parsed, os.fstat(descriptor).st_size) if parsed is not None else 0
            os.unlink(name, dir_fd=inside)
            return spans
        finally:
            unlock(descriptor)
            os.close(descriptor)


def _bytes(there: os.stat_result) -> int:
    """Bytes of disk. Some file systems give a file its blocks late; others, for a sparse one, none."""
    blocks = there.st_blocks * 512
    return max(blocks, min(there.st_size, BLOCK)) if stat.S_ISREG(there.st_mode) else max(blocks, BLOCK)
