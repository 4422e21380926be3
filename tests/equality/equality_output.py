"""Compares what two runs printed: lines that stay text one by one, lines that became JSON by message and traceback."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from equality_differences import ADDED_TO_MESSAGES, BETWEEN_ANY_TWO_RUNS, TRACED_FIELDS, TRACED_OUTPUT

if TYPE_CHECKING:
    from collections.abc import Iterator

_TAKEN = "\0"
_MADE_OF_A_RECORD = ("timestamp", "level", "logger", "message")


def same_in_any_run(text: bytes) -> bytes:
    """`text` without what differs between any two runs."""
    for one in BETWEEN_ANY_TWO_RUNS:
        text = one.pattern.sub(one.stands_for, text)
    return text


def readable(output: bytes, *, own_lines: bool) -> str:
    """Without what differs between any two runs and what tracing may add; its own lines too stay with `own_lines`."""
    for one in () if own_lines else TRACED_OUTPUT:
        output = one.pattern.sub(one.stands_for, output)
    return same_in_any_run(output).decode(errors="backslashreplace")


def text_differences(plain: str, traced: str, *, ordered: bool) -> Iterator[str]:
    """Line by line, in their order or, of several processes, in any."""
    in_order = plain.splitlines() == traced.splitlines()
    if ordered and not in_order and sorted(plain.splitlines()) == sorted(traced.splitlines()):
        yield "the lines are the same, in another order"
    before, after = Counter(plain.splitlines()), Counter(traced.splitlines())
    yield from (f"lacks {line!r}" for line in (before - after).elements())
    yield from (f"has {line!r}" for line in (after - before).elements())
    if before == after and plain.count("\n") != traced.count("\n"):
        yield "differs in how it ends"


def record_differences(plain: str, traced: str) -> Iterator[str]:
    """Of lines that were shaped as JSON: each message, with its traceback, ends lines of plain's, and none is left.

    What is in front of a message, the application's own format, cannot be known and is not compared.
    """
    left = "\n".join(_without_ids(line) for line in plain.splitlines()) + "\n"
    left = ADDED_TO_MESSAGES.sub(r"\1", left)
    messages, texts = [], []
    for line in traced.splitlines():
        record = _record(line)
        own = _without_ids(line)
        if record is None or f"\n{own}\n" in f"\n{left}":
            texts.append(own)
        else:
            messages.append(_told(record))
    for line in sorted(texts, key=len, reverse=True):
        at = f"\n{left}".find(f"\n{line}\n")
        if at < 0:
            yield f"has {line!r}"
        else:
            left = left[:at] + left[at + len(line) + 1 :]
    for message in sorted(messages, key=len, reverse=True):
        told = _shared(message)
        at = left.find(f"{told}\n")
        if at < 0:
            yield f"logs {message!r}"
        else:
            left = f"{left[:at]}{_TAKEN}{left[at + len(told) :]}"
    yield from (f"lacks {line!r}" for line in left.splitlines() if _TAKEN not in line and line)


def _told(record: dict[str, Any]) -> str:
    parts = (record["message"], record.get("exc_info"), record.get("stack_info"))
    return "\n".join(str(part).rstrip("\n") for part in parts if part)


def _shared(message: str) -> str:
    """What is inside of JSON was escaped when lines were made readable."""
    return readable(f"{message}\n".encode(), own_lines=False).removesuffix("\n")


def _record(line: str) -> dict[str, Any] | None:
    """The line, where it has the shape that a log line gets."""
    try:
        record = json.loads(line)
    except ValueError:
        return None
    if not isinstance(record, dict):
        return None
    names = tuple(name for name in record if name not in TRACED_FIELDS)
    return record if names[:4] == _MADE_OF_A_RECORD else None


def _without_ids(line: str) -> str:
    """A line that is JSON already, without the fields that it may gain."""
    try:
        fields = json.loads(line)
    except ValueError:
        return line
    if not isinstance(fields, dict):
        return line
    return json.dumps({name: value for name, value in fields.items() if name not in TRACED_FIELDS})
