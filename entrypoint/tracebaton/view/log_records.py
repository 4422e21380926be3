"""Received log records as the lines of their traces."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tracebaton.store.lines import LogLine
from tracebaton.view.spans import attributes_of, value_of

if TYPE_CHECKING:
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
    from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

    from tracebaton.view.spans import Value

__all__ = ["decode_logs"]

# logs.proto, enum SeverityNumber: four of each, from 1 on.
_LEVELS = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")


def decode_logs(request: ExportLogsServiceRequest) -> list[LogLine]:
    """The records that are of a trace; the others have no place here."""
    lines: list[LogLine] = []
    for resource_logs in request.resource_logs:
        resource = attributes_of(resource_logs.resource.attributes)
        service = str(resource.get("service.name") or "unknown_service")
        for scope_logs in resource_logs.scope_logs:
            lines += [
                _line(record, service, scope_logs.scope.name)
                for record in scope_logs.log_records
                if len(record.trace_id) == 16 and any(record.trace_id)
            ]
    return lines


def _line(record: LogRecord, service: str, logger: str) -> LogLine:
    fields = attributes_of(record.attributes)
    exception = fields.pop("exception.stacktrace", None) or fields.get("exception.message") or ""
    body = value_of(record.body)
    return LogLine(
        trace_id=record.trace_id.hex(),
        span_id=record.span_id.hex() if len(record.span_id) == 8 and any(record.span_id) else "",
        time_ns=record.time_unix_nano or record.observed_time_unix_nano,
        service=service,
        level=(record.severity_text or _level(record.severity_number)).upper(),
        logger=logger,
        message=_text(body),
        exception=_text(exception),
        fields=fields,
    )


def _level(number: int) -> str:
    return _LEVELS[(number - 1) // 4] if 1 <= number <= 24 else ""


def _text(value: Value) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False)
