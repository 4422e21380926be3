"""What collectors and log stores put around an application's line, and what is inside.

Fluent Bit, Docker's json-file, journald and Loki's logcli have one line in an object or behind labels; the Collector's
file exporter has many in one OTLP request.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["JOURNAL", "OTLP", "Inside", "from_journal", "from_otlp", "inside", "without_labels"]

JOURNAL = b'"__REALTIME_TIMESTAMP"'
OTLP = b'{"resourceLogs"'
# The field with the line, those of which one says that it is an envelope, those with a time, and with a service.
_ENVELOPES = (
    ("MESSAGE", ("__REALTIME_TIMESTAMP",), ("__REALTIME_TIMESTAMP",), ("CONTAINER_NAME", "SYSLOG_IDENTIFIER")),
    ("line", ("labels",), ("timestamp", "ts"), ()),
    ("log", ("stream", "kubernetes", "@timestamp", "date", "time"), ("@timestamp", "date", "time"), ()),
)
_MESSAGES = ("message", "log", "msg", "MESSAGE", "line")
_TIMES = ("@timestamp", "date", "timestamp", "time")
_LABELS = re.compile(r'(?:(\S+)\s+)?\{((?:[A-Za-z_][A-Za-z0-9_]*="(?:[^"\\]|\\.)*"(?:, ?)?)+)\}\s+')
_LABEL = re.compile(r'([A-Za-z_][A-Za-z0-9_]*)="((?:[^"\\]|\\.)*)"')
_SERVICES = ("service_name", "service", "app", "container_name", "container")


class Inside(NamedTuple):
    """The application's line, and what the envelope says of it: a time in any form, and a service or nothing."""

    text: str
    time: object
    service: str


def inside(fields: dict[str, Any]) -> Inside | None:
    """What is in it, where the object is an envelope: by its own fields, or because it holds an object as text."""
    for name, signs, times, services in _ENVELOPES:
        text = fields.get(name)
        if isinstance(text, str) and any(sign in fields for sign in signs):
            time = next((fields[each] for each in times if each in fields), None)
            return Inside(text.rstrip("\r\n"), time, _service(fields, services))
    for name in _MESSAGES:
        text = fields.get(name)
        if isinstance(text, str) and text.lstrip().startswith("{") and text.rstrip().endswith("}"):
            time = next((fields[each] for each in _TIMES if each in fields), None)
            return Inside(text.strip(), time, _service(fields, ()))
    return None


def without_labels(text: str) -> Inside | None:
    """Loki's logcli prints `2026-11-22T20:17:09Z {app="agent-a"} LINE`."""
    found = _LABELS.match(text)
    if found is None:
        return None
    return Inside(text[found.end() :], found[1], _service(dict(_LABEL.findall(found[2])), ()))


def from_journal(line: bytes) -> bytes:
    """`journalctl -o json` writes a message as an array of bytes where it holds colours or is no UTF-8."""
    try:
        fields = json.loads(line)
        fields["MESSAGE"] = bytes(fields["MESSAGE"]).decode("utf-8", "backslashreplace")
    except (ValueError, KeyError, TypeError, RecursionError):
        return line
    return json.dumps(fields).encode()


def from_otlp(line: bytes) -> Iterator[bytes]:
    """Each log record of an OTLP request as a line of its own.

    https://opentelemetry.io/docs/specs/otel/protocol/file-exporter/
    """
    try:
        made = [
            _flat(record, _attributes(resource.get("resource")), scope.get("scope") or {})
            for resource in json.loads(line)["resourceLogs"]
            for scope in resource.get("scopeLogs", ())
            for record in scope.get("logRecords", ())
        ]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        made = []
    if not made:
        yield line
    for fields in made:
        yield json.dumps(fields, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _flat(record: dict[str, Any], resource: dict[str, Any], scope: dict[str, Any]) -> dict[str, Any]:
    attributes = _attributes(record)
    times = (record.get("timeUnixNano"), record.get("observedTimeUnixNano"))
    return {
        "timestamp": next((time for time in times if time not in (None, "", 0, "0")), None),
        "level": record.get("severityText"),
        "logger": scope.get("name"),
        "message": _value(record.get("body")),
        "service.name": resource.get("service.name"),
        "trace_id": record.get("traceId"),
        "span_id": record.get("spanId"),
        "exception": attributes.get("exception.stacktrace"),
        "attributes": attributes,
    }


def _attributes(holder: dict[str, Any] | None) -> dict[str, Any]:
    return {pair["key"]: _value(pair.get("value")) for pair in (holder or {}).get("attributes", ())}


def _value(value: Any) -> Any:
    """OTLP's AnyValue, which has one field."""
    if not isinstance(value, dict) or not value:
        return value
    kind, inner = next(iter(value.items()))
    if kind == "kvlistValue":
        return {pair["key"]: _value(pair.get("value")) for pair in inner.get("values", ())}
    if kind == "arrayValue":
        return [_value(one) for one in inner.get("values", ())]
    return int(inner) if kind == "intValue" else inner


def _service(fields: dict[str, Any], names: tuple[str, ...]) -> str:
    kubernetes = fields.get("kubernetes")
    labels = fields.get("labels")
    for holder in (fields, labels, kubernetes):
        for name in (*names, *_SERVICES):
            if isinstance(holder, dict) and isinstance(found := holder.get(name), str) and found:
                return found.lstrip("/")  # Fluentd has Docker's name of a container, which begins with one
    return ""
