"""What is kept of a span and of a log line, as the JSON objects that the page and `tracebaton trace --json` get.

Times are microseconds since 1970, because JavaScript's numbers do not hold nanoseconds. These are strings beside them,
as in OTLP JSON, for whoever takes a trace out.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from tracebaton.store.targets import target

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tracebaton.store.lines import LogLine
    from tracebaton.view.spans import Span, Value

__all__ = ["hash_of", "log_document", "searchable", "span_document", "to_json"]

LONGEST_TEXT = 256 * 1024
"""Characters of a name, a message or a value; what is longer is cut, and says so."""
_LONGEST_INDEXED = 500


def span_document(span: Span) -> dict[str, Any]:
    """Without the trace id, which is the row's."""
    document = {
        "span_id": span.span_id,
        "parent_span_id": span.parent_span_id,
        "service": span.service,
        "name": span.name,
        "kind": span.kind,
        "start_us": span.start_ns // 1000,
        "duration_us": max(0, span.end_ns - span.start_ns) // 1000,
        "start_ns": str(span.start_ns),
        "end_ns": str(span.end_ns),
        "status": span.status,
        "status_message": span.status_message,
        "attributes": span.attributes,
        "resource": span.resource,
        "scope": {"name": span.scope_name, "version": span.scope_version},
        "events": [
            {
                "name": one.name,
                "time_us": one.time_ns // 1000,
                "time_ns": str(one.time_ns),
                "attributes": one.attributes,
            }
            for one in span.events
        ],
        "links": [
            {
                "trace_id": one.trace_id,
                "span_id": one.span_id,
                "trace_state": one.trace_state,
                "attributes": one.attributes,
            }
            for one in span.links
        ],
        "trace_state": span.trace_state,
        "flags": span.flags,
        "target": target(span),
    }
    return _cut(document) if span.weight > LONGEST_TEXT else document


def log_document(line: LogLine) -> dict[str, Any]:
    document = {
        "time_us": line.time_ns // 1000,
        "time_ns": str(line.time_ns),
        "service": line.service,
        "level": line.level,
        "logger": line.logger,
        "message": line.message,
        "exception": line.exception,
        "span_id": line.span_id,
        "fields": line.fields,
    }
    return _cut(document)  # type: ignore[no-any-return]


def to_json(document: object) -> str:
    """In ASCII, so that lone surrogates survive; a number that JSON has no word for is its name."""
    try:
        return json.dumps(document, separators=(",", ":"), allow_nan=False, default=str)
    except (ValueError, RecursionError):
        return json.dumps(_plain(document, 20), separators=(",", ":"))


def hash_of(key: str, value: object = None) -> int:
    """What an attribute is found by, 64 bits as SQLite has them: of `key=value`, or of the key alone."""
    text = key if value is None else f"{key}={_shown(value)}"
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def searchable(attributes: Mapping[str, Value]) -> Iterator[int]:
    for key, value in attributes.items():
        yield hash_of(key)
        if value is not None and not isinstance(value, (list, dict)) and len(str(value)) <= _LONGEST_INDEXED:
            yield hash_of(key, value)


def _shown(value: object) -> str:
    """As JSON and a person at the page spell it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _cut(value: Any) -> Any:
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        return f"{value[:LONGEST_TEXT]}... ({len(value) - LONGEST_TEXT} more characters)"
    if isinstance(value, dict):
        return {_cut(name): _cut(inner) for name, inner in value.items()}
    return [_cut(inner) for inner in value] if isinstance(value, list) else value


def _plain(value: Any, depth: int) -> Any:
    if isinstance(value, dict):
        return {str(name): _plain(inner, depth - 1) for name, inner in value.items()} if depth else "{...}"
    if isinstance(value, (list, tuple)):
        return [_plain(inner, depth - 1) for inner in value] if depth else "[...]"
    return value if isinstance(value, (str, bool, int)) or value is None else str(value)
