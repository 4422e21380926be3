"""Spans read from what the real Collector wrote: the detailed text of its `debug` exporter (v0.160)."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from tracebaton.view.spans import Link, Span, SpanEvent

if TYPE_CHECKING:
    from collections.abc import Iterator

_FIELD = re.compile(r" {4}([A-Z][A-Za-z ]*?) *: ?(.*)")
_ENTRY = re.compile(r" +-> ([^ ].*?): (.*)")
_VALUE = re.compile(r"([A-Z][a-z]+)\((.*)\)")
_SCOPE = re.compile(r"InstrumentationScope (\S*) ?(\S*)")
_TIME = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?:\.(\d{1,9}))? \+0000 UTC")


def read_spans(text: str) -> list[Span]:
    """All spans of a log. A value of several lines, such as a stack trace, keeps only its first."""
    return list(_read(text))


@lru_cache(maxsize=1)  # who waits for a span looks again and again
def _read(text: str) -> tuple[Span, ...]:
    return tuple(_spans(text))


def _spans(text: str) -> Iterator[Span]:
    resource: dict[str, Any] = {}
    scope: tuple[str, str] = ("", "")
    span: dict[str, Any] | None = None
    entries: dict[str, Any] = {}
    for line in text.splitlines():
        if line.startswith(("ResourceSpans #", "Span #", "ScopeSpans #", "Traces\t")):
            if span is not None:
                yield _span(span, resource, scope)
            span = None
            entries = {}
            if line.startswith("ResourceSpans #"):
                resource = entries
            elif line.startswith("Span #"):
                span = {"fields": {}, "attributes": {}, "events": [], "links": []}
        elif line == "Resource attributes:":
            entries = resource
        elif match := _SCOPE.fullmatch(line):
            scope = match[1], match[2]
        elif span is None:
            _note(entries, line)
        elif line == "Attributes:":
            entries = span["attributes"]
        elif line.startswith(("SpanEvent #", "SpanLink #")):
            entries = {}
            span["events" if line.startswith("SpanEvent") else "links"].append(entries)
        elif match := _FIELD.fullmatch(line):
            span["fields"][match[1]] = match[2]
        else:
            _note(entries, line)
    if span is not None:
        yield _span(span, resource, scope)


def _note(entries: dict[str, Any], line: str) -> None:
    if match := _ENTRY.fullmatch(line):
        entries[match[1]] = _value(match[2])


def _span(read: dict[str, Any], resource: dict[str, Any], scope: tuple[str, str]) -> Span:
    fields = read["fields"]
    return Span(
        trace_id=fields.get("Trace ID", ""),
        span_id=fields.get("ID", ""),
        parent_span_id=fields.get("Parent ID", ""),
        name=fields.get("Name", ""),
        kind=fields.get("Kind", "").upper(),
        start_ns=_nanoseconds(fields.get("Start time", "")),
        end_ns=_nanoseconds(fields.get("End time", "")),
        service=str(resource.get("service.name", "")),
        status=fields.get("Status code", "").upper(),
        status_message=fields.get("Status message", ""),
        attributes=read["attributes"],
        resource=resource,
        scope_name=scope[0],
        scope_version=scope[1],
        events=tuple(SpanEvent(str(one.get("Name", "")), 0, one) for one in read["events"]),
        links=tuple(Link(str(one.get("Trace ID", "")), str(one.get("ID", "")), "", one) for one in read["links"]),
        trace_state=fields.get("TraceState", ""),
    )


def _value(text: str) -> Any:
    match = _VALUE.fullmatch(text)
    if match is None:
        return text
    kind, inner = match.groups()
    if kind == "Int":
        return int(inner)
    if kind == "Double":
        return float(inner)
    return inner == "true" if kind == "Bool" else inner


def _nanoseconds(text: str) -> int:
    match = _TIME.fullmatch(text)
    if match is None:
        return 0
    seconds = datetime.strptime(match[1], "%Y-%m-%d %H:%M:%S").replace(tzinfo=timezone.utc).timestamp()
    return int(seconds) * 10**9 + int((match[2] or "").ljust(9, "0"))
