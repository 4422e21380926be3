"""An OTLP JSON file, as the page and the Collector's file exporter write it, into the store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tracebaton.view.log_records import decode_logs
from tracebaton.view.payload import parse_saved
from tracebaton.view.spans import decode

if TYPE_CHECKING:
    from tracebaton.store.writer import StoreWriter

__all__ = ["FileError", "open_file"]

_LARGEST = 1 << 30


class FileError(Exception):
    """A sentence without a full stop."""


def open_file(path: str, writer: StoreWriter) -> str:
    """Store what is in it: one JSON object, or one a line. Return the id of its only trace, else ''.

    It can be read when this returns. Raises FileError, StoreError.
    """
    try:
        if Path(path).stat().st_size > _LARGEST:
            raise FileError(f"{path} is larger than {_LARGEST} bytes")
        text = Path(path).read_bytes()
    except (OSError, ValueError) as error:
        raise FileError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    found: set[str] = set()
    try:
        documents = [parse_saved(text)]
    except ValueError as error:
        lines = [line for line in text.splitlines() if line.strip()]
        if len(lines) < 2:
            raise FileError(f"{path} is no OTLP JSON file: {_short(error)}") from error
        documents = []
        for number, line in enumerate(lines, start=1):
            try:
                documents.append(parse_saved(line))
            except ValueError as problem:  # noqa: PERF203
                raise FileError(f"{path} is no OTLP JSON file, line {number}: {_short(problem)}") from problem
    for request, logs in documents:
        spans, _ = decode(request)
        writer.add_spans(spans)
        lines_of_it = decode_logs(logs)
        writer.add_lines(lines_of_it)
        found |= {span.trace_id for span in spans}
    writer.commit()
    if not found:
        raise FileError(f"{path} holds no span")
    return found.pop() if len(found) == 1 else ""


def _short(error: ValueError) -> str:
    return " ".join(str(error).split())[:200]
