"""The directory of the spool that this process holds: made, or taken over from a process that is dead, and added to."""

from __future__ import annotations

import heapq
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from tracebaton_configurator.export.forks import importing
from tracebaton_configurator.export.spool_directory import (
    Writer,
    create_writer,
    is_ours,
    is_removed,
    lock_writer,
    opened_root,
    release_writer,
    writer_names,
)
from tracebaton_configurator.export.spool_segment import parse_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tracebaton_configurator.export.spool_segment import Name

# Names that are remembered at once, of directories and of files.
_PAGE = 256
_MOST_PASSED_OVER = 10_000


class OwnDirectory:
    """None is held until a batch is put, or a dead writer's is found."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._writer: Writer | None = None
        self.forget()

    def forget(self) -> None:
        """Hold none; in a forked child, the parent's stays locked."""
        if self._writer is not None:
            self._writer.let_go()
        self._writer = None
        self._passed_over: set[str] = set()
        self._walk = self._walked()
        self.is_looking = False
        """Whether the directories of others are to be visited."""

    @property
    def directory(self) -> int:
        """Its descriptor (OSError)."""
        if self._writer is None:
            raise OSError("no directory of the spool is held")
        return self._writer.directory

    def is_removed(self) -> bool:
        """Whether somebody has removed the directory (OSError)."""
        return self._writer is not None and is_removed(self._writer.directory)

    def hold(self) -> bool:
        """Make one, unless one is held; whether that was so (OSError)."""
        if self._writer is not None:
            return False
        with opened_root(self._path, create=True) as root, importing():  # see `lock_writer`
            self._writer = create_writer(root)
        return True

    def release(self) -> None:
        """What is empty disappears, the rest waits for the next process."""
        if self._writer is not None:
            with suppress(OSError), opened_root(self._path) as root:
                release_writer(root, self._writer)
                self._writer = None
        self.forget()

    def next_name(self) -> Name | None:
        """The oldest segment that has not been handed out in this pass; None at its end."""
        name = next(self._walk, None)
        if name is None:
            self._walk = self._walked()
        return name

    def pass_over(self, name: Name) -> None:
        """Do not hand it out again."""
        if len(self._passed_over) < _MOST_PASSED_OVER:
            self._passed_over.add(name.text)

    def _walked(self) -> Iterator[Name]:
        """A pass: what is here, and what dead writers have left, one after the other, each time that it is done."""
        is_looking = self.is_looking
        others = self._others() if is_looking else iter(())
        after: Name | None = None
        while True:
            while self._writer is not None and (page := self._list(self._writer, after)):
                after = page[-1]
                yield from page
            name = next(others, None)
            if name is None:
                break
            # Where none is held, the dead writer's is kept: on a disk that is full, none could be made.
            after = None if self._writer is None else after
            while page := self._take_over(name):
                yield from page
        if is_looking:
            self.is_looking = False

    def _list(self, writer: Writer, after: Name | None) -> list[Name]:
        with suppress(OSError):
            return _oldest(
                writer.directory,
                lambda entry, name: (after is None or name > after) and entry.name not in self._passed_over,
            )
        return []

    def _others(self) -> Iterator[str]:
        """The names of writers' directories, read in pages."""
        page = [""]
        while page:
            last = page[-1]
            with suppress(FileNotFoundError), opened_root(self._path) as root:
                page = heapq.nsmallest(_PAGE, (name for name in writer_names(root) if name > last))
            if page[-1:] == [last]:
                return  # the spool is not there any more
            yield from page

    def _take_over(self, name: str) -> list[Name]:
        """Move what a writer has left, if it is dead, a page at a time; returns what was moved."""
        with suppress(OSError), opened_root(self._path) as root, importing():  # see `lock_writer`
            if self._writer is None:
                self._writer = lock_writer(root, name)
            elif name != self._writer.name and (dead := lock_writer(root, name)) is not None:
                try:
                    return _move(dead.directory, self._writer.directory)
                finally:
                    release_writer(root, dead)
        return []


def _oldest(directory: int, wanted: Callable[[os.DirEntry[str], Name], bool]) -> list[Name]:
    """A page of the oldest files of batches in a directory that are `wanted` (OSError)."""
    with os.scandir(directory) as listing:
        names = ((entry, name) for entry in listing if (name := parse_name(entry.name)) is not None)
        return heapq.nsmallest(_PAGE, (name for entry, name in names if wanted(entry, name)))


def _move(source: int, target: int) -> list[Name]:
    """Move a page of files of batches to another directory; returns those that were (OSError)."""
    there = set(os.listdir(target))
    moved = []
    for name in _oldest(
        source,
        lambda entry, _: entry.name not in there and is_ours(entry.stat(follow_symlinks=False), stat.S_ISREG),
    ):
        with suppress(OSError):  # somebody has removed it, to make room
            os.rename(name.text, name.text, src_dir_fd=source, dst_dir_fd=target)
            moved.append(name)
    return moved
