"""Two traces side by side: what is new in this one, gone, slower, and what failed that did not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["compare"]

_MOST_ROWS = 5000
_MOST_LEVELS = 40
# A difference counts from both on: half as long again, and five milliseconds.
_FACTOR = 1.5
_LEAST_US = 5000
# Segments of a path that name one of many: numbers, UUIDs and other hexadecimal digits, long keys with a digit.
_ID = re.compile(r"(?<![^/])(?:\d+|(?=[^/]*\d)(?:[0-9a-fA-F-]{8,}|[\w-]{16,}))(?![^/])")


class _Position(NamedTuple):
    """Where a span is: below which place, as what, and the how manieth of them."""

    parent: int
    label: str
    occurrence: int


def compare(this: list[dict[str, Any]], other: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows in the order of this trace, those that are gone behind what they stood below in the other one.

    Spans are given as `/api/trace` has them, by their starts. Paths longer than 40 begin with `...`.
    """
    numbers: dict[_Position, int] = {}
    ours = dict(_placed(this, numbers))
    theirs = dict(_placed(other, numbers))
    labels = [place.label for place in numbers]
    parents = [place.parent for place in numbers]
    below: dict[int, list[int]] = {}
    for number, parent in enumerate(parents):
        below.setdefault(parent, []).append(number)
    rows: list[dict[str, Any]] = []
    stack = below.get(-1, [])[::-1]
    while stack and len(rows) < _MOST_ROWS:
        number = stack.pop()
        rows.append(_compared(_path(number, labels, parents), ours.get(number), theirs.get(number)))
        stack += below.get(number, [])[::-1]
    return rows


def _placed(spans: list[dict[str, Any]], numbers: dict[_Position, int]) -> Iterator[tuple[int, dict[str, Any]]]:
    known = {span["span_id"] for span in spans}
    children: dict[str, list[dict[str, Any]]] = {}
    for span in spans:
        parent = span["parent_span_id"]
        children.setdefault(parent if parent in known and parent != span["span_id"] else "", []).append(span)
    waiting = [(-1, "")]
    while waiting:
        parent_number, parent_id = waiting.pop()
        times: dict[str, int] = {}
        # Taken out: where two spans bear the same id, the first has the children.
        for span in children.pop(parent_id, ()):
            label = f"{span['service']} {span['kind']} {_what(span)}"[:300]
            times[label] = times.get(label, 0) + 1
            number = numbers.setdefault(_Position(parent_number, label, times[label]), len(numbers))
            yield number, span
            waiting.append((number, span["span_id"]))


def _what(span: dict[str, Any]) -> str:
    """Where a call went, without what differs from one request to the next; else the span's name."""
    before, separator, rest = span["target"].partition("://")
    if not separator:
        return str(span["target"] or span["name"])
    host, slash, path = re.split("[?#]", rest, maxsplit=1)[0].partition("/")
    return f"{before.rpartition(' ')[0]} {host}{slash}{_ID.sub('{id}', path)}".lstrip()


def _path(number: int, labels: list[str], parents: list[int]) -> list[str]:
    path: list[str] = []
    while number >= 0 and len(path) < _MOST_LEVELS:
        path.append(labels[number])
        number = parents[number]
    return [*(["..."] if number >= 0 else []), *reversed(path)]


def _compared(path: list[str], this: dict[str, Any] | None, other: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "path": path,
        "state": _state(this, other),
        "this_us": this["duration_us"] if this else None,
        "other_us": other["duration_us"] if other else None,
        "this_status": this["status"] if this else "",
        "other_status": other["status"] if other else "",
    }


def _state(this: dict[str, Any] | None, other: dict[str, Any] | None) -> str:
    if this is None:
        return "gone"
    if other is None:
        return "new"
    if this["status"] == "ERROR" and other["status"] != "ERROR":
        return "failed"
    mine, its = this["duration_us"], other["duration_us"]
    if abs(mine - its) >= _LEAST_US:
        if mine >= its * _FACTOR:
            return "slower"
        if its >= mine * _FACTOR:
            return "faster"
    return "same"
