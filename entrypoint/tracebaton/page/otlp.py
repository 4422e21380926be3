"""A trace as OTLP JSON: what `tracebaton view FILE` and other tools open.

https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding: ids are hex, 64-bit integers are strings.
"""

from __future__ import annotations

import json
from typing import Any

__all__ = ["otlp_json"]

_KINDS = ("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")
_STATUSES = ("UNSET", "OK", "ERROR")
# logs.proto, enum SeverityNumber
_SEVERITIES = {"TRACE": 1, "DEBUG": 5, "INFO": 9, "WARN": 13, "WARNING": 13, "ERROR": 17, "CRITICAL": 21, "FATAL": 21}


def otlp_json(trace: dict[str, Any]) -> dict[str, Any]:
    """The trace, as `/api/trace/<id>` gives it, with its log lines.

    Of a file that an earlier version kept, times have microseconds.
    """
    spans: dict[str, dict[str, Any]] = {}
    for span in trace["spans"]:
        within = spans.setdefault(json.dumps([span["resource"], span["service"]], sort_keys=True), {})
        scope = (span["scope"]["name"], span["scope"]["version"])
        within.setdefault("resource", _resource(span["resource"], span["service"]))
        within.setdefault("scopes", {}).setdefault(scope, []).append(_span(trace["trace_id"], span))
    logs: dict[str, dict[str, list[Any]]] = {}
    for line in trace["logs"]:
        logs.setdefault(line["service"], {}).setdefault(line["logger"], []).append(_line(trace["trace_id"], line))
    document: dict[str, Any] = {
        "resourceSpans": [
            {
                "resource": each["resource"],
                "scopeSpans": [
                    {"scope": {"name": name, "version": version}, "spans": some}
                    for (name, version), some in each["scopes"].items()
                ],
            }
            for each in spans.values()
        ]
    }
    if logs:
        document["resourceLogs"] = [
            {
                "resource": _resource({}, service),
                "scopeLogs": [{"scope": {"name": name}, "logRecords": some} for name, some in scopes.items()],
            }
            for service, scopes in logs.items()
        ]
    return document


def _span(trace_id: str, span: dict[str, Any]) -> dict[str, Any]:
    return {
        "traceId": trace_id,
        "spanId": span["span_id"],
        "parentSpanId": span["parent_span_id"],
        "name": span["name"],
        "kind": _KINDS.index(span["kind"]),
        "traceState": span.get("trace_state", ""),
        "flags": span.get("flags", 0),
        "startTimeUnixNano": span.get("start_ns") or str(span["start_us"] * 1000),
        "endTimeUnixNano": span.get("end_ns") or str((span["start_us"] + span["duration_us"]) * 1000),
        "attributes": _attributes(span["attributes"]),
        "events": [
            {
                "name": one["name"],
                "timeUnixNano": _moment(one),
                "attributes": _attributes(one["attributes"]),
            }
            for one in span["events"]
        ],
        "links": [
            {
                "traceId": one["trace_id"],
                "spanId": one["span_id"],
                "traceState": one.get("trace_state", ""),
                "attributes": _attributes(one["attributes"]),
            }
            for one in span["links"]
        ],
        "status": {"code": _STATUSES.index(span["status"]), "message": span["status_message"]},
    }


def _line(trace_id: str, line: dict[str, Any]) -> dict[str, Any]:
    fields = dict(line["fields"])
    if line["exception"]:
        fields.setdefault("exception.stacktrace", line["exception"])
    return {
        "timeUnixNano": _moment(line),
        "severityText": line["level"],
        "severityNumber": _SEVERITIES.get(line["level"], 0),
        "body": {"stringValue": line["message"]},
        "attributes": _attributes(fields),
        "traceId": trace_id,
        "spanId": line["span_id"],
    }


def _moment(record: dict[str, Any]) -> str:
    return str(record.get("time_ns") or record["time_us"] * 1000)


def _resource(attributes: dict[str, Any], service: str) -> dict[str, Any]:
    return {"attributes": _attributes({"service.name": service, **attributes})}


def _attributes(attributes: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in attributes.items()]


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, str):
        return {"stringValue": value}
    if isinstance(value, list):
        return {"arrayValue": {"values": [_value(one) for one in value]}}
    if isinstance(value, dict):
        return {"kvlistValue": {"values": _attributes(value)}}
    return {}
