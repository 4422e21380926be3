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
    from collections.abc import Callable

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
        self._names: list[Name] = []
        self._after: Name | None = None
        self._passed_over: set[str] = set()
        self._page: list[str] = []
        self._visited: str | None = None

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

    @property
    def is_looking(self) -> bool:
        """Whether there are writers' directories that have not been visited since `look`."""
        return self._visited is not None

    def look(self) -> None:
        """Visit all writers' directories, one after the other, each time that nothing is left here."""
        self._visited = ""

    def next_name(self) -> Name | None:
        """The oldest segment that has not been handed out in this pass; None at its end."""
        while not self._names and not self._list():
            if not self._recover():
                self._after = None
                return None
        return self._names.pop()

    def pass_over(self, name: Name) -> None:
        """Do not hand it out again."""
        if len(self._passed_over) < _MOST_PASSED_OVER:
            self._passed_over.add(name.text)

    def _list(self) -> bool:
        """Whether there are more segments here."""
        if self._writer is not None:
            after = self._after
            with suppress(OSError):
                self._names = _oldest(
                    self._writer.directory,
                    lambda entry, name: (after is None or name > after) and entry.name not in self._passed_over,
                )
        if self._names:
            self._after = self._names[0]
        return bool(self._names)

    def _recover(self) -> bool:
        """Take over what the next dead writer has left; whether there was one."""
        if self._visited is None:
            return False
        with suppress(FileNotFoundError), opened_root(self._path) as root:
            while (name := self._next_writer(root)) is not None:
                with suppress(OSError), importing():  # see `lock_writer`
                    if self._writer is None:
                        # Its directory, too: on a disk that is full, none could be made.
                        self._writer, self._after = lock_writer(root, name), None
                        if self._writer is not None:
                            return True
                    elif name != self._writer.name and (dead := lock_writer(root, name)) is not None:
                        try:
                            self._names = _move(dead.directory, self._writer.directory)
                            if len(self._names) == _PAGE:
                                self._page.append(name)
                        finally:
                            release_writer(root, dead)
                if self._names:
                    return True
        self._visited = None
        return False

    def _next_writer(self, root: int) -> str | None:
        visited = self._visited or ""
        if not self._page:
            self._page = heapq.nsmallest(_PAGE, (name for name in writer_names(root) if name > visited))[::-1]
        if self._page:
            self._visited = self._page.pop()
            return self._visited
        return None


def _oldest(directory: int, wanted: Callable[[os.DirEntry[str], Name], bool]) -> list[Name]:
    """A page of the oldest files of batches in a directory that are `wanted`, the oldest of them last (OSError)."""
    with os.scandir(directory) as listing:
        names = ((entry, name) for entry in listing if (name := parse_name(entry.name)) is not None)
        return heapq.nsmallest(_PAGE, (name for entry, name in names if wanted(entry, name)))[::-1]


def _move(source: int, target: int) -> list[Name]:
    """Move a page of files of batches to another directory; returns those that were, the oldest last (OSError)."""
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
