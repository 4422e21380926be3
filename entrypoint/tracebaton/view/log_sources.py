"""Log lines that nobody exports: of files, stdin and containers, read by the reader of `tracebaton timeline`."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from tracebaton.store.lines import LogLine
from tracebaton.store.schema import StoreError
from tracebaton.timeline.containers import ComposeProject, ContainerSource
from tracebaton.timeline.query import AnyTrace
from tracebaton.timeline.reader import LineReader
from tracebaton.timeline.record import other_fields
from tracebaton.timeline.sources import FileSource, SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tracebaton.timeline.merge import Match

__all__ = ["LogSources"]

_LOOK_AGAIN = 2.0  # seconds, for containers that have started
_AT_ONCE = 500


class LogSources:
    """A thread for each source, which goes on for as long as the process does.

    Whoever takes the lines may be slow: then a source is read more slowly, and nothing piles up.
    """

    def __init__(self, take: Callable[[list[LogLine]], None], say: Callable[[str], None]) -> None:
        self._take = take
        self._say = say
        self._project: ComposeProject | None = None
        self._ended = threading.Event()

    def read_files(self, names: Sequence[str]) -> None:
        """Whole, and on as they grow; `-` is stdin."""
        for name in dict.fromkeys(names):
            self._start(FileSource(name))

    def read_containers(self, project: str | None) -> None:
        """Of the compose project, from now on. Raises SourceError."""
        self._project = ComposeProject(project, time.time_ns())
        for source in self._project.sources():
            self._start(source)
        threading.Thread(target=self._look_for_containers, daemon=True).start()

    def close(self) -> None:
        self._ended.set()
        if self._project is not None:
            self._project.close()

    def _look_for_containers(self) -> None:
        while self._project is not None and not self._ended.wait(_LOOK_AGAIN):
            try:
                for source in self._project.sources():
                    self._start(source)
            except SourceError:  # noqa: PERF203
                continue  # an engine that does not answer now may do so later

    def _start(self, source: FileSource | ContainerSource) -> None:
        threading.Thread(target=self._read, args=(source,), daemon=True).start()

    def _read(self, source: FileSource | ContainerSource) -> None:
        found = _Found(self._take)
        reader = LineReader(AnyTrace(), found, source.name, source.service)
        # A pipe does not say that nothing comes at present: its last line is shown, though a traceback may follow.
        is_pipe = isinstance(source, FileSource) and source.size is None
        try:
            for block in source.blocks(follow=True):
                if self._ended.is_set():
                    return
                if block:
                    reader.feed(block)
                found.hand_over(everything=not block or is_pipe)
            reader.finish()
            found.hand_over(everything=True)
        except (SourceError, StoreError) as error:
            if not self._ended.is_set():
                self._say(str(error))


class _Found:
    """In the place of timeline's merge: holds a line until it is known whether a traceback follows."""

    def __init__(self, take: Callable[[list[LogLine]], None]) -> None:
        self._take = take
        self._matches: list[Match] = []

    def add(self, match: Match) -> None:
        self._matches.append(match)
        if len(self._matches) > _AT_ONCE:
            self.hand_over(everything=False)

    def extend(self, match: Match, line: bytes) -> bool:
        if match.is_open:
            match.tail.append(line)
        return match.is_open

    def hand_over(self, *, everything: bool) -> None:
        """But for the last one, unless nothing comes at present."""
        count = len(self._matches) - (0 if everything else 1)
        if count > 0:
            matches, self._matches = self._matches[:count], self._matches[count:]
            for match in matches:
                match.is_open = False
            self._take([_line(match) for match in matches])


def _line(match: Match) -> LogLine:
    record = match.record()
    return LogLine(
        trace_id=match.trace_id,
        span_id=match.span_id,
        time_ns=match.order_ns or time.time_ns(),
        service=match.service,
        level=record.level or ("ERROR" if match.is_error else ""),
        logger=record.logger,
        message=record.message,
        exception=record.exception,
        fields=other_fields(record),
    )
