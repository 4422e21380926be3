"""The names of the fields that tracebaton writes in a JSON line, and what `OTEL_TRACEBATON_LOG_FIELDS` makes of them.

The presets are those of the Elastic Common Schema, of Datadog's log attributes, and of Google Cloud's structured
logging.

https://www.elastic.co/guide/en/ecs-logging/overview/current/intro.html
https://docs.datadoghq.com/tracing/other_telemetry/connect_logs_and_traces/opentelemetry/
https://cloud.google.com/logging/docs/structured-logging
"""

from __future__ import annotations

FIELDS = frozenset((
    "timestamp", "level", "logger", "trace_id", "span_id", "trace_flags", "message", "service.name", "exc_info",
    "stack_info", "logging_error", "literal", "pid", "process_name", "thread", "thread_name", "task", "path", "file",
    "module", "line", "function", "elapsed",
))  # fmt: skip
PRESETS = {
    "ecs": {
        "timestamp": "@timestamp", "level": "log.level", "logger": "log.logger", "trace_id": "trace.id",
        "span_id": "span.id", "exc_info": "error.stack_trace", "pid": "process.pid", "process_name": "process.name",
        "thread": "process.thread.id", "thread_name": "process.thread.name", "file": "log.origin.file.name",
        "line": "log.origin.file.line", "function": "log.origin.function",
    },
    "datadog": {
        "level": "status", "logger": "logger.name", "service.name": "service", "trace_id": "dd.trace_id",
        "span_id": "dd.span_id", "exc_info": "error.stack", "thread_name": "logger.thread_name",
    },
    "gcp": {
        "timestamp": "time", "level": "severity", "trace_id": "logging.googleapis.com/trace",
        "span_id": "logging.googleapis.com/spanId", "trace_flags": "logging.googleapis.com/trace_sampled",
        "exc_info": "stack_trace",
    },
}  # fmt: skip


def parse(value: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """A preset, pairs of a field and its new name, or both (ValueError)."""
    preset, renamed = "", {}
    for part in filter(None, map(str.strip, value.split(","))):
        field, equals, name = (piece.strip() for piece in part.partition("="))
        if not equals and part.lower() in PRESETS and not preset:
            preset = part.lower()
        elif field in FIELDS and name.isprintable() and name:
            renamed[field] = name
        else:
            raise ValueError(f"has {part!r}, which is neither a preset nor a field and its name")
    names = {**PRESETS.get(preset, {}), **renamed}
    if len({names.get(field, field) for field in FIELDS}) < len(FIELDS):
        raise ValueError("gives two fields the same name")
    return preset, tuple(renamed.items())
