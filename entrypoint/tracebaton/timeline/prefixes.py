"""What Docker and Compose put around a container's lines, and how lines that hold JSON are counted in each form."""

from __future__ import annotations

import json
import re
from typing import NamedTuple

from tracebaton.timeline.timestamps import to_ns

__all__ = ["JsonCounter", "Wrapped", "json_file_entry", "unwrap"]

_COLOUR = rb"(?:\x1b\[[0-9;]{0,20}m){0,4}"
_NAME = rb"%s([A-Za-z0-9][A-Za-z0-9_.-]{0,200}) *%s *\|%s ?%s" % ((_COLOUR,) * 4)
_STAMP = rb"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:[0-9]{2})) "
_PREFIX = re.compile(rb"(?:%s)?(?:%s)?" % (_NAME, _STAMP))
_PREFIXED_JSON = re.compile(rb"^(?:%s)?(?:%s)?\{" % (_NAME, _STAMP), re.MULTILINE)
_NUMBER = re.compile(r"[-_][0-9]+$")
_JSON_FILE = b'{"log":"'


class Wrapped(NamedTuple):
    """A line without its prefix: `agent-a-1  | 2026-11-22T20:17:09.013Z LINE` has both, a plain one none."""

    line: bytes
    container: bytes
    stamp_ns: int | None

    @property
    def service(self) -> str:
        """`agent-a` of the container `agent-a-1` (Compose v2) or `agent-a_1` (docker-compose 1.29); else ''."""
        return _NUMBER.sub("", self.container.decode("ascii"))


def unwrap(line: bytes) -> Wrapped:
    """Take off the prefixes of `docker compose logs`, with its colours, and of `docker logs --timestamps`."""
    if line.startswith(b"{"):
        return Wrapped(line, b"", None)
    found = _PREFIX.match(line)
    if found is None or not found.end():
        return Wrapped(line, b"", None)
    name, stamp = found.groups()
    return Wrapped(line[found.end() :], name or b"", to_ns(stamp.decode("ascii")) if stamp else None)


def json_file_entry(line: bytes) -> tuple[bytes, int | None] | None:
    """The text and the time of a line of Docker's json-file log; None if it is not one.

    Docker splits lines after 16 KiB: each entry but the last then lacks the newline at the end of its text.
    """
    if not line.startswith(_JSON_FILE):
        return None
    try:
        entry = json.loads(line)
        return entry["log"].encode("utf-8", "surrogatepass"), to_ns(entry["time"])
    except (ValueError, KeyError, AttributeError, RecursionError):
        return None


class JsonCounter:
    """Counts the lines that begin as a JSON object, at the speed of `bytes.count` where no prefix is in the way."""

    def __init__(self) -> None:
        self._prefixed: bool | None = None
        self._json_file = False

    def learn(self, data: bytes) -> None:
        """Find out, from the first lines of a source, in which form it is."""
        lines = data[:65536].split(b"\n", 100)[:100]
        self._json_file = any(line.startswith(_JSON_FILE) for line in lines)
        self._prefixed = any(unwrap(line).line is not line for line in lines)

    def count(self, data: bytes, start: int, end: int) -> int:
        """Count in `data[start:end]`, which begins where a line does."""
        if start >= end:
            return 0
        if self._prefixed is None:
            self.learn(data)
        if self._prefixed:
            return sum(1 for _ in _PREFIXED_JSON.finditer(data, start, end))
        opening = _JSON_FILE + b"{" if self._json_file else b"{"
        return data.startswith(opening, start) + data.count(b"\n" + opening, start, end)
