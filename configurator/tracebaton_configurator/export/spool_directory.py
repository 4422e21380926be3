"""Directories of the spool, opened so that nobody else can lead this process astray.

Every name is opened relative to a descriptor of the directory it is in, and no link is followed. What another user
owns, and what is no regular file or directory, is neither opened nor changed: opening alone may wait for ever (FIFO) or
do something (device). Root is held to the same.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
from contextlib import contextmanager, suppress
from errno import ENOENT, EPERM
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tracebaton_configurator.export.forks import importing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# The directory may be shared, as /tmp is, and what is in there under other names is not ours.
WRITER = re.compile(r"[0-9]{1,20}-[0-9a-f]{12}")
_LOCK = "lock"
_FLAGS = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NONBLOCK
_OURS = _DIRECTORY | os.O_NOFOLLOW


class Writer(NamedTuple):
    """A writer's directory that this process holds: its name, and descriptors of it and of its lock."""

    name: str
    directory: int
    lock: int

    def let_go(self) -> None:
        """Close both. In a forked child this leaves the parent's lock as it is."""
        for descriptor in (self.lock, self.directory):
            with suppress(OSError):
                os.close(descriptor)


@contextmanager
def opened_root(path: str, *, create: bool = False) -> Iterator[int]:
    """A descriptor of the spool's directory (OSError, also where somebody else could exchange it)."""
    if create:
        Path(path).mkdir(mode=0o700, parents=True, exist_ok=True)
    trusted = (0, os.geteuid())
    link = os.lstat(path)
    if stat.S_ISLNK(link.st_mode) and link.st_uid not in trusted:
        raise PermissionError(EPERM, f"{path} is a symbolic link that user {link.st_uid} made, and is left alone")
    follow = 0 if stat.S_ISLNK(link.st_mode) else os.O_NOFOLLOW
    root = os.open(path, _DIRECTORY | follow)
    try:
        there = os.fstat(root)
        if there.st_uid not in trusted and there.st_mode & stat.S_IWOTH and not there.st_mode & stat.S_ISVTX:
            raise PermissionError(
                EPERM,
                f"{path} belongs to user {there.st_uid}, and everybody may write there without the sticky bit; it is "
                "left alone",
            )
        yield root
    finally:
        os.close(root)


def writer_names(root: int) -> Iterator[str]:
    """Names that look like those of writers' directories, in no order (OSError)."""
    with os.scandir(root) as listing:
        for entry in listing:
            if WRITER.fullmatch(entry.name):
                yield entry.name


@contextmanager
def opened_directory(root: int, name: str) -> Iterator[int | None]:
    """Of this user's; None for anything else, FileNotFoundError where there is nothing (OSError)."""
    directory = _open_ours(root, name, _OURS, stat.S_ISDIR)
    try:
        yield directory
    finally:
        if directory is not None:
            os.close(directory)


def open_file(directory: int, name: str, flags: int = os.O_RDWR) -> int | None:
    """A descriptor of a regular file of this user's; None for anything else (OSError)."""
    return _open_ours(directory, name, flags | _FLAGS, stat.S_ISREG)


def _open_ours(directory: int, name: str, flags: int, kind: Callable[[int], bool]) -> int | None:
    if not is_ours(os.stat(name, dir_fd=directory, follow_symlinks=False), kind):
        return None
    descriptor = os.open(name, flags, dir_fd=directory)
    ours = False
    try:
        ours = is_ours(os.fstat(descriptor), kind)  # it may have been exchanged
    finally:
        if not ours:
            os.close(descriptor)
    return descriptor if ours else None


def create_file(directory: int, name: str) -> int:
    """A new file for this user alone (OSError)."""
    return os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | _FLAGS, 0o600, dir_fd=directory)


def try_lock(descriptor: int) -> bool:
    """Whether this descriptor holds the lock of its file now; never waits."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def unlock(descriptor: int) -> None:
    """Also for a copy of the descriptor that a forked child may have."""
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def create_writer(root: int) -> Writer:
    """A directory of this process's own, locked (OSError)."""
    for _ in range(10):  # each with a name of its own
        name = f"{os.getpid()}-{os.urandom(6).hex()}"
        os.mkdir(name, 0o700, dir_fd=root)
        try:
            writer = lock_writer(root, name)
            if writer is not None:
                return writer
            there = os.stat(name, dir_fd=root, follow_symlinks=False)
        except FileNotFoundError:
            continue  # taken for a dead writer's and removed, in the moment before it was locked
        finally:
            with suppress(OSError):  # whoever has taken it removes it, too; one that is in use is not empty
                os.rmdir(name, dir_fd=root)
        if there.st_uid != os.geteuid():
            raise PermissionError(EPERM, f"a directory that user {os.geteuid()} made belongs to user {there.st_uid}")
    raise OSError("no directory could be locked there")


def lock_writer(root: int, name: str) -> Writer | None:
    """Take over a directory of this user's that nobody holds; None where that is not possible (OSError)."""
    # A child that is forked in between would hold the lock, and not know of it.
    with importing(), suppress(FileNotFoundError, NotADirectoryError):
        directory, lock = _open_ours(root, name, _OURS, stat.S_ISDIR), None
        if directory is not None:
            try:
                lock = _locked(directory)
            finally:
                if lock is None:
                    os.close(directory)
        if directory is not None and lock is not None:
            return Writer(name, directory, lock)
    return None


def release_writer(root: int, writer: Writer) -> bool:
    """Let go of a directory; it disappears where there is nothing in it but its lock. Whether it did."""
    try:
        if not _has_only_its_lock(writer.directory):
            return False
        os.unlink(_LOCK, dir_fd=writer.directory)
        os.rmdir(writer.name, dir_fd=root)  # fails where somebody has put something there meanwhile
    except OSError:
        return False
    finally:
        unlock(writer.lock)
        writer.let_go()
    return True


def is_removed(descriptor: int) -> bool:
    """Whether the file or directory has no name any more."""
    return os.fstat(descriptor).st_nlink == 0


def set_aside(root: int, directory: int, name: str, when: int) -> None:
    """Move a file that cannot be made sense of to `corrupt-<uid>/<when>-<name>` (OSError)."""
    place = corrupt_name()
    with suppress(FileExistsError):
        os.mkdir(place, 0o700, dir_fd=root)
    with opened_directory(root, place) as corrupt:
        if corrupt is None:
            raise OSError(ENOENT, f"{place} is no directory of user {os.geteuid()}")
        os.rename(name, f"{when:020d}-{name}", src_dir_fd=directory, dst_dir_fd=corrupt)


def corrupt_name() -> str:
    return f"corrupt-{os.geteuid()}"


def is_ours(there: os.stat_result, kind: Callable[[int], bool]) -> bool:
    """Whether this is this user's, and of that kind."""
    return there.st_uid == os.geteuid() and kind(there.st_mode)


def _locked(directory: int) -> int | None:
    """A descriptor that holds the lock of a directory; None where somebody else does (OSError)."""
    try:
        lock = open_file(directory, _LOCK)
    except FileNotFoundError:
        try:
            lock = create_file(directory, _LOCK)
        except FileExistsError:
            return None  # somebody else was quicker
    if lock is None:
        return None
    taken = False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Its last holder may have removed it between the two calls.
        taken = not is_removed(lock)
    except BlockingIOError:
        pass
    except OSError:  # a file system without locks
        os.unlink(_LOCK, dir_fd=directory)
        raise
    finally:
        if not taken:
            os.close(lock)
    return lock if taken else None


def _has_only_its_lock(directory: int) -> bool:
    with os.scandir(directory) as listing:
        return all(entry.name == _LOCK for entry in listing)
