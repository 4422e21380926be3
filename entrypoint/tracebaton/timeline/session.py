"""One run of `tracebaton timeline`: find the sources, read them, print, and say what is not shown."""

from __future__ import annotations

import os
import queue
import select
import signal
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from tracebaton.timeline import notes
from tracebaton.timeline.containers import ComposeProject, ContainerSource
from tracebaton.timeline.merge import AmbiguousError, Merge
from tracebaton.timeline.output import JsonTimeline, TextOutput
from tracebaton.timeline.progress import progress_bar
from tracebaton.timeline.query import Query
from tracebaton.timeline.reader import LineReader
from tracebaton.timeline.sources import FileSource, SourceError
from tracebaton_configurator.logs.printable import escaped_text

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Sequence

    Source = FileSource | ContainerSource

__all__ = ["run"]

# A source that says nothing for so long has shown what there was when the following began.
_QUIET = 1.0  # seconds
_TICK = 0.1
_LOOK_AGAIN = 2.0
_MOST_BLOCKS = 16
# As grep has them: trouble counts for more than whether something was found.
_FOUND, _NOT_FOUND, _TROUBLE = 0, 1, 2
_INTERRUPTED = 130  # as a shell reports a command that Ctrl-C ended, `docker logs -f` among them


def run(args: argparse.Namespace) -> int:
    """Print the timeline on stdout, everything else on stderr; return the exit status."""
    if sys.stdout is None:
        _say("there is no stdout to print to")
        return _TROUBLE
    session = _Session(args)
    try:
        return session.run()
    except KeyboardInterrupt:
        return _INTERRUPTED
    except SourceError as error:
        _say(str(error))
        return _TROUBLE
    except AmbiguousError as error:
        _say(*error.args)
        return _NOT_FOUND
    except OSError as error:
        # stdout is pointed at nothing, or the interpreter would complain of it when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return _FOUND
        _say(f"cannot write to stdout: {error.strerror or error}")
        return _TROUBLE
    finally:
        if session.project is not None:
            session.project.close()


class _Session:
    def __init__(self, args: argparse.Namespace) -> None:
        self.project: ComposeProject | None = None
        self._args = args
        self._query = Query(args.trace_id, args.since, args.until)
        output = JsonTimeline(sys.stdout) if args.json else TextOutput(sys.stdout)
        self._merge = Merge(args.trace_id, output, follow=args.follow)
        self._readers: dict[Source, LineReader] = {}
        self._has_problem = False

    def run(self) -> int:
        merge = self._merge
        interrupted = False
        sources = self._sources()
        if self._args.follow:
            try:
                self._follow(sources)
            except KeyboardInterrupt:
                interrupted = True
        else:
            self._read(sources)
        merge.print_due(everything=True)
        counts = {source.name: reader.counts for source, reader in self._readers.items()}
        if merge.trace_id is None:
            if interrupted:
                return _INTERRUPTED
            if not self._has_problem or any(each.lines for each in counts.values()):
                _say(notes.not_found(self._query, counts))
        elif self._args.json and not self._args.follow:
            _note(f"trace {merge.trace_id}: {merge.summary}")
        if merge.other_traces:
            _note(f"{notes.counted(merge.other_traces, 'line')} of other traces that begin like this left out")
        for sentence in notes.passed_over(counts, left_out=merge.left_out):
            _note(sentence)
        if interrupted:
            return _INTERRUPTED
        if self._has_problem:
            return _TROUBLE
        return _NOT_FOUND if merge.trace_id is None else _FOUND

    def _sources(self) -> Sequence[Source]:
        args = self._args
        if args.files:
            if args.project:
                _say("--project is about containers; as FILEs are given, it has no effect")
            return [FileSource(name) for name in dict.fromkeys(args.files)]
        self.project = ComposeProject(args.project, args.since)
        # So that what reads the containers is ended too.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
        return self.project.sources()

    def _read(self, sources: Sequence[Source]) -> None:
        sizes = [source.size for source in sources]
        done = 0
        with progress_bar(None if None in sizes else sum(size or 0 for size in sizes)) as show:
            for source in sources:
                reader = self._reader_of(source)
                try:
                    for block in source.blocks(follow=False):
                        reader.feed(block)
                        show(done + source.consumed)
                except SourceError as error:
                    self._problem(error)
                reader.finish()
                done += source.consumed

    def _follow(self, sources: Iterable[Source]) -> None:
        """Read all sources at once, until they have ended and no more can come, or nobody reads what is printed."""
        inbox: queue.Queue[tuple[Source, bytes | SourceError | None]] = queue.Queue(_MOST_BLOCKS)
        heard: dict[Source, float] = {}  # when a source that has not caught up yet was last heard of
        running: set[Source] = set()

        def start(sources: Iterable[Source]) -> None:
            for source in sources:
                heard[source] = time.monotonic()
                running.add(source)
                threading.Thread(target=_put_blocks, args=(source, inbox), daemon=True).start()

        stdout = select.poll()
        stdout.register(
            sys.stdout, 0
        )  # no event is asked for: POLLERR, when the other end of a pipe closes, is unasked
        start(sources)
        look_again = time.monotonic() + _LOOK_AGAIN
        while running or self.project or not inbox.empty():
            if any(event & select.POLLERR for _, event in stdout.poll(0)):
                return
            with suppress(queue.Empty):
                source, item = inbox.get(timeout=_TICK)
                if isinstance(item, SourceError):
                    self._problem(item)
                elif item:
                    self._reader_of(source).feed(item)
                    if source in heard:
                        heard[source] = time.monotonic()
                else:
                    heard.pop(source, None)
                    if item is None:
                        running.discard(source)
                        self._reader_of(source).finish()
            now = time.monotonic()
            if self._merge.is_live or all(last + _QUIET < now for last in heard.values()):
                self._merge.print_due()
            if self.project and now >= look_again:
                look_again = now + _LOOK_AGAIN
                # An engine that does not answer now may do so later, and what is read goes on.
                with suppress(SourceError):
                    start(self.project.sources())

    def _reader_of(self, source: Source) -> LineReader:
        if source not in self._readers:
            self._readers[source] = LineReader(self._query, self._merge, source.name, source.service)
        return self._readers[source]

    def _problem(self, error: SourceError) -> None:
        self._has_problem = True
        _say(str(error))


def _put_blocks(source: Source, inbox: queue.Queue[tuple[Source, bytes | SourceError | None]]) -> None:
    try:
        for block in source.blocks(follow=True):
            inbox.put((source, block))
    except SourceError as error:
        inbox.put((source, error))
    finally:
        inbox.put((source, None))


def _say(sentence: str, *more: str) -> None:
    _note(f"tracebaton timeline: {sentence}")
    for each in more:
        _note(each)


def _note(sentence: str) -> None:
    if sys.stderr is not None:
        # File names may hold anything; names of services have been escaped.
        print(escaped_text(sentence), file=sys.stderr, flush=True)  # noqa: T201 (the console is the interface)
