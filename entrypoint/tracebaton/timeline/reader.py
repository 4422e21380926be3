"""One source, block by block: makes matches of the lines in which an id occurs, and counts the others."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from sys import intern
from typing import TYPE_CHECKING, Protocol

from tracebaton.timeline.envelopes import JOURNAL, OTLP, from_journal, from_otlp
from tracebaton.timeline.merge import Match
from tracebaton.timeline.record import read_line
from tracebaton.timeline.timestamps import to_ns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tracebaton.timeline.query import Query

__all__ = ["LONGEST_LINE", "STAMP", "Counts", "LineReader"]

# A longer line is counted, not read: parsed, it could take a multiple of its size in memory.
LONGEST_LINE = 1 << 20
# What Docker and Compose put in front: `agent-a-1  | 2026-11-22T20:17:09.013Z LINE`, each of them only if asked to.
STAMP = rb"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:[0-9]{2})) "
_COLOUR = rb"(?:\x1b\[[0-9;]{0,20}m){0,4}"
_NAME = rb"%s([A-Za-z0-9][A-Za-z0-9_.-]{0,200}) *%s *\|%s ?%s" % ((_COLOUR,) * 4)
_PREFIX = re.compile(rb"(?:%s)?(?:%s)?" % (_NAME, STAMP))
_JSON = re.compile(_PREFIX.pattern + rb"\{")
# The engine splits lines after 16 KiB; `docker logs --timestamps` puts them together again, each piece with its time.
_PIECE = re.compile(STAMP + rb"(.{16000,16600}?(?=%s)|.*)" % STAMP, re.DOTALL)
_JSON_FILE = b'{"log":"'
_JSON_FILE_END = rb'\n",'  # of the text of a line that is whole
# Kubernetes: `2026-11-22T20:17:09.013Z stdout F LINE`, or `P` for a piece of one that goes on.
_CRI = re.compile(STAMP + rb"(stdout|stderr) ([PF])(?::[^ ]*)? ")
_JOURNAL_BYTES = re.compile(rb'"MESSAGE" ?: ?\[')
# `agent-a` of the container `agent-a-1` (Compose v2) or `agent-a_1` (docker-compose 1.29).
_NUMBER = re.compile(rb"[-_][0-9]+$")
# Compose mixes the lines of its containers: so many of others may stand between a line and its traceback.
_LINES_OF_OTHERS = 200
# `ZeroDivisionError: division by zero`, or without a message.
_EXCEPTION = re.compile(rb"[A-Za-z_][A-Za-z0-9_.]*(?::|$)")
_MOST_LINES = 400
_MOST_BYTES = 1 << 16
_BEGINNINGS = (b"Traceback (most recent call last)", b"+ Exception Group Traceback (most recent call last)")
# How the `traceback` module joins an exception to its cause or context.
_JOINTS = (b"During handling of the above exception", b"The above exception was the direct cause")


@dataclass
class Counts:
    """What became of the lines that are not shown.

    `plain` are those that do not begin as a JSON object, `plain_between` the part of them that stands between the
    first and the last line of the trace in the same source. `elsewhere` hold the id, but not where loggers put it.
    """

    lines: int = 0
    plain: int = 0
    plain_between: int = 0
    elsewhere: int = 0
    first_elsewhere: int = 0
    too_long: int = 0
    first_too_long: int = 0


class Taker(Protocol):
    """Where matches go: `extend` adds a line of plain text, and says whether the match still takes any."""

    def add(self, match: Match) -> None: ...

    def extend(self, match: Match, line: bytes) -> bool: ...


class LineReader:
    """Feed it blocks of bytes, cut anywhere; memory is bounded by the block and `LONGEST_LINE`.

    `service` is what lines are attributed to that name none themselves.
    """

    def __init__(self, query: Query, merge: Taker, source: str, service: str) -> None:
        self.counts = Counts()
        self._query = query
        self._merge = merge
        self._source = source
        self._service = service
        self._carry = b""  # the line that has not ended yet
        self._unfold: Callable[[Iterable[bytes]], Iterable[bytes]] | None = None
        self._entry = b""  # a line of which Docker's json-file log has only shown a part
        self._pieces: dict[bytes, bytes] = {}  # the same of Kubernetes', by stream
        self._last_ns = 0
        self._match: Match | None = None  # the last one, as long as lines may belong to it
        self._container = b""
        self._has_level = False
        self._traceback = _Traceback()
        self._others = 0
        self._plain_at_match: int | None = None

    def feed(self, block: bytes) -> None:
        *lines, self._carry = (self._carry + block).split(b"\n")
        if len(self._carry) > LONGEST_LINE:
            # In its place another line that is too long, and has an id if this one has.
            found = self._query.find(self._carry)
            self._carry = (
                bytes(LONGEST_LINE) + (found[0] if found else b"") + b" " + self._carry[-self._query.longest :]
            )
        if self._unfold is None and lines:
            self._unfold = self._unfolding(lines[0])
        counts = self.counts
        lower, upper, decimal = self._query.needles
        for line in self._unfold(lines) if self._unfold is not None else lines:
            counts.lines += 1
            has_id = lower in line or upper in line or decimal in line
            if (has_id or self._match is not None) and self._take(line.rstrip(b"\r")):
                continue
            if line[:1] != b"{" and not _JSON.match(line):
                counts.plain += 1

    def finish(self) -> None:
        """The source has ended; a last line without a newline is one."""
        if self._carry:
            self.feed(b"\n")
        for rest in filter(None, (self._entry, *self._pieces.values())):
            self._unfold, self._carry = iter, rest
            self.feed(b"\n")
        self._match = None

    def _unfolding(self, line: bytes) -> Callable[[Iterable[bytes]], Iterable[bytes]]:
        """What makes lines of those of a file that begins so."""
        if line.startswith(_JSON_FILE):
            return self._unfolded
        if _CRI.match(line):
            return self._joined
        if line.startswith(OTLP):
            return lambda lines: (one for line in lines for one in from_otlp(line))
        if line.startswith(b"{") and JOURNAL in line:
            return lambda lines: (from_journal(line) if _JOURNAL_BYTES.search(line) else line for line in lines)
        return iter

    def _joined(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        """The lines of a log of Kubernetes', those whole again that the runtime has split, with the time in front."""
        for line in lines:
            found = _CRI.match(line)
            if found is None:
                yield line
                continue
            stamp, stream, tag = found.groups()
            whole = (self._pieces.pop(stream, b"") or stamp + b" ") + line[found.end() :]
            if tag == b"P" and len(whole) <= LONGEST_LINE:
                self._pieces[stream] = whole
            else:
                yield whole

    def _unfolded(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        """The lines of Docker's json-file log, those whole again that it has split, with the time in front."""
        for line in lines:
            has_id = any(needle in line for needle in self._query.needles)
            if not (has_id or self._entry or self._match) and _JSON_FILE_END in line:
                yield line.removeprefix(_JSON_FILE)  # escaped, but only counted
                continue
            try:
                entry = json.loads(line)
                text, time = entry["log"].encode("utf-8", "surrogatepass"), entry["time"].encode()
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                yield line
                continue
            self._entry = (self._entry or time + b" ") + text
            if text.endswith(b"\n") or len(self._entry) > LONGEST_LINE:
                line, self._entry = self._entry[:-1], b""  # noqa: PLW2901
                yield line

    def _take(self, line: bytes) -> bool:
        """Return whether the line is one of the trace, or belongs to one."""
        counts = self.counts
        found = self._query.find(line)
        if len(line) > LONGEST_LINE:
            if found:
                counts.first_too_long = counts.first_too_long or counts.lines
                counts.too_long += 1
            self._match = None
            return False
        text, container, stamp_ns = _unwrapped(line)
        if not found:
            return self._extend(text, container)
        self._match = None
        record = read_line(text)
        trace_id = self._query.digits if isinstance(record.original, str) and self._query.is_whole else None
        trace_id = next(filter(None, map(self._query.matching_id, record.trace_ids)), trace_id)
        if trace_id is None:
            counts.first_elsewhere = counts.first_elsewhere or counts.lines
            counts.elsewhere += 1
            return False
        if self._plain_at_match is not None:
            counts.plain_between += counts.plain - self._plain_at_match
        self._plain_at_match = counts.plain
        time_ns = stamp_ns if record.time_ns is None else record.time_ns
        if time_ns is not None:
            self._last_ns = time_ns
            if not self._query.is_in_time(time_ns):
                return True  # left out because that was asked for, so not to be counted either
        self._match = Match(
            trace_id=intern(trace_id),
            time_ns=time_ns,
            order_ns=self._last_ns,
            source=self._source,
            number=counts.lines,
            service=intern(record.service or _NUMBER.sub(b"", container).decode() or self._service),
            span_id=intern(record.span_id),
            parent_id=intern(record.parent_id),
            line=text,
            is_error=record.is_error,
        )
        self._has_level = bool(record.level)
        self._container = container
        self._traceback = _Traceback()
        self._others = 0
        self._merge.add(self._match)
        return True

    def _extend(self, text: bytes, container: bytes) -> bool:
        """Add a line to the last match, if it is of its traceback."""
        if self._match is None:
            return False
        if container != self._container:
            self._others += 1
            if self._others > _LINES_OF_OTHERS:
                self._match = None
            return False
        if self._traceback.takes(text):
            self._match.is_error |= not self._has_level
            if self._merge.extend(self._match, text):
                return True
        self._match = None
        return False


class _Traceback:
    """Of the lines below a log line, says which belong to its traceback: frames, the exception's line, its causes.

    Indented lines directly below a log line count too, as other languages print their frames. An exception whose
    message has several lines loses all but the first, for nothing tells them from other output.
    """

    def __init__(self) -> None:
        self._lines = self._bytes = 0
        self._in_frames = False
        self._begun = False

    def takes(self, line: bytes) -> bool:
        self._lines += 1
        self._bytes += len(line)
        if self._lines > _MOST_LINES or self._bytes > _MOST_BYTES or line.startswith(b"{"):
            return False
        stripped = line.strip()
        if stripped.startswith(_BEGINNINGS):
            self._in_frames = self._begun = True
            return True
        if line[:1] in {b" ", b"\t"} and stripped:
            return True
        if self._in_frames and _EXCEPTION.match(stripped):
            self._in_frames = False
            return True
        return self._begun and (not stripped or stripped.startswith(_JOINTS))


def _unwrapped(line: bytes) -> tuple[bytes, bytes, int | None]:
    """The line itself, the name of the container and the time before it, if any."""
    found = None if line.startswith(b"{") else _PREFIX.match(line)
    if found is None:
        return line, b"", None
    name, stamp = found.groups(b"")
    if not stamp:
        return line[found.end() :], name, None
    pieces = _PIECE.findall(line, found.start(2))
    return b"".join(piece[1] for piece in pieces), name, to_ns(stamp.decode())
