"""Batches that wait on disk for the receiver to come back, in this process or in the next.

    DIRECTORY/<writer>/lock                                  held with flock(2) for as long as the writer lives
    DIRECTORY/<writer>/<time>-<number>-<spans>-<crc32>.otlp  an ExportTraceServiceRequest in protobuf, and nothing else

Every process writes into a directory of its own, so writers never meet, also on a volume that containers share. One
whose lock can be had belongs to nobody any more: whoever finds it delivers what is in it. A file gets its name when it
is complete; one that is torn all the same (a machine that lost power) is known by its checksum. Any file can be sent by
hand: `curl --data-binary @FILE -H 'content-type: application/x-protobuf' http://HOST:4318/v1/traces`.
"""

from __future__ import annotations

import fcntl
import os
import re
import time
import zlib
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from tracebaton_configurator.export.forks import importing

_NAME = re.compile(r"(\d{20})-(\d+)-(\d+)-([0-9a-f]{8})\.otlp")
_UNFINISHED = ".part"
# The directory may be shared, as /tmp is, and what is in there under other names is not ours.
_WRITER = re.compile(r"\d+-[0-9a-f]{12}")
# Seconds between two looks for what dead processes have left behind.
_LOOK_EVERY = 30.0
# When room has to be made, this part of the bound is freed at once, so that not every batch has to look for room.
_FREED = 0.05


class Entry(NamedTuple):
    """A batch on disk. Sorted, the oldest comes first."""

    name: str
    path: Path
    spans: int
    crc: int
    size: int


class Spool:
    """The part of the directory that this process writes, and what it has taken over. Methods raise OSError."""

    def __init__(self, directory: str, most_bytes: int) -> None:
        self._root = Path(directory)
        self._most = most_bytes
        self._number = 0
        self._own: tuple[Path, int] | None = None
        self._adopted: dict[Path, int] = {}
        self._looked = float("-inf")
        self._listed: list[Entry] = []
        self._used: int | None = None
        self.torn = 0

    def put(self, payload: bytes, spans: int) -> int:
        """Write a batch; returns how many spans in older files had to make room for it."""
        directory = self._open()
        lost = self._make_room(len(payload))
        self._number += 1
        name = f"{time.time_ns():020d}-{self._number}-{spans}-{zlib.crc32(payload):08x}.otlp"
        unfinished = directory / (name + _UNFINISHED)
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            _write(descriptor, payload)
            unfinished.rename(directory / name)
        except OSError:
            with suppress(OSError):
                unfinished.unlink()
            raise
        self._used = (self._used or 0) + len(payload)
        return lost

    def oldest(self) -> Entry | None:
        """The oldest batch that this process may deliver."""
        if not self._listed:
            directories = [*self._adopted, *([self._own[0]] if self._own else [])]
            self._listed = sorted((one for directory in directories for one in _entries(directory)), reverse=True)
        return self._listed[-1] if self._listed else None

    def read(self, entry: Entry) -> bytes | None:
        """What is in it; None, and it is forgotten, where it is torn or somebody else has removed it."""
        try:
            payload = entry.path.read_bytes()
        except FileNotFoundError:
            self._forget_entry(entry)
            return None
        except OSError:
            self._forget_entry(entry)  # until the directory is read again
            raise
        if zlib.crc32(payload) == entry.crc:
            return payload
        self.torn += entry.spans
        self.remove(entry)
        return None

    def remove(self, entry: Entry) -> None:
        self._forget_entry(entry)
        with suppress(OSError):
            entry.path.unlink()
            self._used = None if self._used is None else max(0, self._used - entry.size)

    def adopt(self) -> bool:
        """Look, now and then, for what dead processes have left, and take it over; whether there was any."""
        now = time.monotonic()
        if now - self._looked < _LOOK_EVERY:
            return False
        self._looked = now
        self._used = None  # others write, too
        self._let_go_of_empty()
        found = False
        for directory in _directories(self._root):
            if directory in self._adopted or (self._own is not None and directory == self._own[0]):
                continue
            with importing():  # a child that is forked in between would hold the lock, and not know of it
                lock = _lock(directory)
                if lock is None:
                    continue
                self._adopted[directory] = lock
            found = True
            for unfinished in directory.glob(f"*{_UNFINISHED}"):
                match = _NAME.match(unfinished.name)
                self.torn += int(match[3]) if match else 0
                unfinished.unlink(missing_ok=True)
        return found

    def close(self) -> None:
        """Let go of everything; what is empty disappears, the rest waits for the next process."""
        held = [*self._adopted.items(), *([self._own] if self._own else [])]
        self._adopted, self._own, self._listed = {}, None, []
        for directory, lock in held:
            _let_go(directory, lock)

    def forget(self) -> None:
        """In a forked child: what the parent holds stays the parent's."""
        held = [*self._adopted.values(), *([self._own[1]] if self._own else [])]
        self._adopted, self._own, self._listed, self._used, self.torn = {}, None, [], None, 0
        for lock in held:
            with suppress(OSError):
                os.close(lock)

    def _open(self) -> Path:
        if self._own is not None:
            if self._own[0].is_dir():
                return self._own[0]
            os.close(self._own[1])
            self._own = None
        # The directory that all writers share keeps the rights that an operator gave it.
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for _ in range(3):
            directory = self._root / f"{os.getpid()}-{os.urandom(6).hex()}"
            directory.mkdir(mode=0o700)
            with importing():  # see `adopt`
                lock = _lock(directory)
                if lock is not None:
                    self._own = directory, lock
                    return directory
            # Somebody took the new directory for a dead writer's, in the moment before it was locked.
        raise OSError(f"no directory could be locked in {self._root}")

    def _make_room(self, size: int) -> int:
        """Remove the oldest files of all writers until `size` more bytes fit; returns the number of their spans."""
        if size > self._most:
            raise OSError(f"a batch of {size} bytes is larger than the whole spool")
        if self._used is not None and self._used + size <= self._most:
            return 0
        entries = sorted(entry for directory in _directories(self._root) for entry in _entries(directory))
        used = sum(entry.size for entry in entries)
        lost = 0
        if used + size > self._most:
            wanted = self._most * (1 - _FREED) - size
            for entry in entries:
                if used <= max(wanted, 0):
                    break
                with suppress(OSError):
                    entry.path.unlink()
                    lost += entry.spans
                used -= entry.size
        self._used = used
        return lost

    def _forget_entry(self, entry: Entry) -> None:
        if self._listed and self._listed[-1] == entry:
            self._listed.pop()

    def _let_go_of_empty(self) -> None:
        for directory, lock in list(self._adopted.items()):
            if not any(_entries(directory)):
                del self._adopted[directory]
                _let_go(directory, lock)


def _directories(root: Path) -> list[Path]:
    try:
        with os.scandir(root) as listing:
            return [
                Path(entry.path)
                for entry in listing
                if _WRITER.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False)
            ]
    except FileNotFoundError:
        return []


def _entries(directory: Path) -> list[Entry]:
    """The complete files of one writer; none where they are another user's."""
    found = []
    with suppress(OSError), os.scandir(directory) as listing:
        for one in listing:
            match = _NAME.fullmatch(one.name)
            if match and one.is_file(follow_symlinks=False):
                with suppress(FileNotFoundError):
                    size = one.stat(follow_symlinks=False).st_size
                    found.append(Entry(one.name, Path(one.path), int(match[3]), int(match[4], 16), size))
    return found


def _lock(directory: Path) -> int | None:
    """A descriptor that holds the directory's lock; None where somebody else holds it."""
    try:
        descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Its last holder may have removed the directory between the two calls above.
        if os.fstat(descriptor).st_nlink:
            return descriptor
    except OSError:
        pass
    os.close(descriptor)
    return None


def _let_go(directory: Path, lock: int) -> None:
    with suppress(OSError):
        if not _entries(directory):
            (directory / "lock").unlink()
            directory.rmdir()  # fails where somebody has left something of their own
    with suppress(OSError):
        os.close(lock)


def _write(descriptor: int, payload: bytes) -> None:
    """Without a buffer, of which a forked child would have a copy, and write it once more."""
    try:
        rest = memoryview(payload)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    finally:
        os.close(descriptor)
