"""How `tracebaton view --json` prints: an object for each span, without any package but the receiver's."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from tracebaton.view.spans import Span

__all__ = ["JsonSpans", "to_json"]

# Characters that are written to the stream at once.
_PART = 65536


class JsonSpans:
    """Holds nothing."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def add(self, spans: list[Span]) -> None:
        for span in spans:
            text = to_json(span)
            for start in range(0, len(text), _PART):  # the stream encodes what it is given as a whole
                self._stream.write(text[start : start + _PART])
            self._stream.write("\n")
        self._stream.flush()

    def seconds_until_due(self) -> float | None:
        return None

    finish = add


def to_json(span: Span) -> str:
    """Return the span as one line of JSON, in ASCII; times are integers in nanoseconds since 1970."""
    record = {one.name: getattr(span, one.name) for one in fields(span) if one.name != "weight"}
    record["scope"] = {"name": record.pop("scope_name"), "version": record.pop("scope_version")}
    return json.dumps({**record, "duration_ms": span.duration_ms}, default=asdict, allow_nan=False)
