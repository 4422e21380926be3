"""One run of `tracebaton timeline`: find the sources, read them, print, and say what is not shown."""

from __future__ import annotations

import os
import select
import sys
from typing import TYPE_CHECKING, NamedTuple, TextIO

from tracebaton.timeline import notes
from tracebaton.timeline.files import FileSource, StdinSource
from tracebaton.timeline.hops import Hops
from tracebaton.timeline.output import JsonOutput, Output, TextOutput
from tracebaton.timeline.progress import ProgressBar
from tracebaton.timeline.query import Query
from tracebaton.timeline.reader import Reader, Sink
from tracebaton.timeline.record_buffer import RecordBuffer
from tracebaton.timeline.scanner import Counts, Scanner
from tracebaton.timeline.sources import Source, SourceError
from tracebaton_configurator.logs.printable import escaped_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["FOUND", "INTERRUPTED", "NOT_FOUND", "TROUBLE", "Options", "run"]

# As grep has them: trouble counts for more than whether something was found.
FOUND, NOT_FOUND, TROUBLE = 0, 1, 2
INTERRUPTED = 130  # as a shell reports a command that Ctrl-C ended, `docker logs -f` among them


class Options(NamedTuple):
    """`trace_id` is 4 to 32 hexadecimal digits in lower case; times are nanoseconds since 1970."""

    trace_id: str
    files: tuple[str, ...] = ()
    follow: bool = False
    as_json: bool = False
    project: str | None = None
    since_ns: int | None = None
    until_ns: int | None = None


def run(options: Options) -> int:
    """Print the timeline on stdout, everything else on stderr; return the exit status."""
    if sys.stdout is None:
        _say("there is no stdout to print to")
        return TROUBLE
    session = _Session(options)
    try:
        return session.follow() if options.follow else session.read()
    except KeyboardInterrupt:
        return INTERRUPTED
    except SourceError as error:
        _say(str(error))
        return TROUBLE
    except BrokenPipeError:
        _forget(sys.stdout)
        return FOUND
    except OSError as error:
        _forget(sys.stdout)
        _say(f"cannot write to stdout: {error.strerror or error}")
        return TROUBLE


class _Session:
    def __init__(self, options: Options) -> None:
        self._options = options
        self._query = Query(options.trace_id)
        self._counts: dict[str, Counts] = {}
        self._scanners: dict[int, Scanner] = {}
        self._has_problem = False
        self._discover: Callable[[], list[Source]] | None = None

    def read(self) -> int:
        buffer = RecordBuffer()
        sources = self._sources()
        sizes = [source.size for source in sources]
        with ProgressBar(None if None in sizes else sum(size or 0 for size in sizes)) as bar:
            done = 0
            for source in sources:
                self._read(source, buffer, lambda source=source, done=done: bar.show(done + source.consumed))  # type: ignore[misc]
                done += source.consumed
        if len(buffer.seen) > 1:
            _say(*notes.ambiguous(self._options.trace_id, buffer.seen, has_more=buffer.has_more_ids))
            return NOT_FOUND
        left_out = buffer.left_out
        matches = buffer.pop_all()
        if not matches:
            return self._nothing_found()
        hops = Hops(matches)
        output = self._output()
        if isinstance(output, TextOutput):
            for service in {match.service for match in matches}:
                output.widen(service)
        text = notes.summary(matches)
        output.begin(matches[0].trace_id, text, matches[0])
        for match in matches:
            output.line(match, hops.depth(match))
        output.flush()
        if self._options.as_json:
            _note(f"trace {matches[0].trace_id}: {text}")
        self._say_what_is_not_shown(left_out)
        return TROUBLE if self._has_problem else FOUND

    def follow(self) -> int:
        from tracebaton.timeline.follow import AmbiguousError, Following

        following = Following(self._options.trace_id, self._output())
        sources = self._sources()
        if not sources and self._discover is None:
            return TROUBLE
        watch = _ReaderWatch(sys.stdout)

        def scanner_of(source: Source) -> Scanner:
            if id(source) not in self._scanners:
                self._scanners[id(source)] = self._scanner(source, following)
            return self._scanners[id(source)]

        interrupted = False
        try:
            try:
                following.run(
                    sources,
                    scanner_of=scanner_of,
                    discover=self._discover,
                    say=self._problem,
                    goes_on=lambda: not watch.has_left(),
                )
            except KeyboardInterrupt:
                interrupted = True
            following.finish()
        except AmbiguousError as error:
            _say(*error.args)
            return NOT_FOUND
        if following.printed:
            if following.other_traces:
                _note(f"{notes.counted(following.other_traces, 'line')} of other traces that begin like this left out")
            self._say_what_is_not_shown(following.buffer.left_out)
        elif not interrupted:
            return self._nothing_found()
        if interrupted:
            return INTERRUPTED
        return TROUBLE if self._has_problem else FOUND

    def _sources(self) -> Sequence[Source]:
        if self._options.files:
            if self._options.project:
                _say("--project is about containers; as FILEs are given, it has no effect")
            return list(self._files(self._options.files))
        from tracebaton.timeline.containers import ComposeProject

        project = ComposeProject(
            self._options.project, since_ns=self._options.since_ns, until_ns=self._options.until_ns
        )
        if self._options.follow:
            self._discover = project.newly_running
        return project.sources()

    def _files(self, names: Iterable[str]) -> Iterable[Source]:
        for name in dict.fromkeys(names):
            source = StdinSource() if name == "-" else FileSource(name)
            try:
                source.measure()
            except SourceError as error:
                self._problem(error)
            else:
                yield source

    def _read(self, source: Source, sink: Sink, show: Callable[[], None]) -> None:
        scanner = self._scanner(source, sink)
        try:
            for block in source.blocks():
                scanner.feed(block)
                show()
        except SourceError as error:
            self._problem(error)
        scanner.finish()

    def _scanner(self, source: Source, sink: Sink) -> Scanner:
        options = self._options
        reader = Reader(
            *(self._query, sink, source.name, source.service), since_ns=options.since_ns, until_ns=options.until_ns
        )
        # A container that starts again is the same source.
        return Scanner(self._query, reader, self._counts.setdefault(source.name, Counts()))

    def _output(self) -> Output:
        return JsonOutput(sys.stdout) if self._options.as_json else TextOutput(sys.stdout)

    def _nothing_found(self) -> int:
        if self._counts:
            bounded = self._options.since_ns is not None or self._options.until_ns is not None
            _say(notes.not_found(self._options.trace_id, self._counts, bounded=bounded))
            self._say_what_is_not_shown(left_out=0)
        return TROUBLE if self._has_problem else NOT_FOUND

    def _say_what_is_not_shown(self, left_out: int) -> None:
        for sentence in notes.passed_over(self._counts, left_out=left_out):
            _note(sentence)

    def _problem(self, error: SourceError) -> None:
        self._has_problem = True
        _say(str(error))


class _ReaderWatch:
    """Notices that the other end of a stdout that is a pipe has closed, without writing to it."""

    def __init__(self, stream: TextIO) -> None:
        self._poll = select.poll()
        try:
            self._poll.register(stream.fileno(), 0)  # no event asked for: POLLERR comes unasked
        except (OSError, ValueError):
            self._poll = select.poll()

    def has_left(self) -> bool:
        return any(event & select.POLLERR for _, event in self._poll.poll(0))


def _forget(stream: TextIO) -> None:
    """Point a stdout that cannot be written at nothing, or the interpreter complains when it flushes at exit."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, stream.fileno())
    os.close(devnull)


def _say(sentence: str, *more: str) -> None:
    _note(f"tracebaton timeline: {sentence}")
    for each in more:
        _note(each)


def _note(sentence: str) -> None:
    if sys.stderr is not None:
        # File names may hold anything; names of services have been escaped.
        text = escaped_text(sentence).encode(sys.stderr.encoding or "utf-8", "backslashreplace")
        print(text.decode(sys.stderr.encoding or "utf-8"), file=sys.stderr, flush=True)  # noqa: T201 (the console is the interface)
