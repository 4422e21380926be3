"""The two encodings of an OTLP export request, protobuf and JSON, into the one protobuf message."""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, Any

from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tracebaton.view.parts import LOGS, TRACES, check_json, check_protobuf

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["parse_json", "parse_logs_json", "parse_logs_protobuf", "parse_protobuf", "parse_saved"]

# lowerCamelCase is the specification's spelling; protobuf's JSON mapping also takes the field's own name.
_ID_FIELDS = {"traceId", "spanId", "parentSpanId", "trace_id", "span_id", "parent_span_id"}


def parse_protobuf(body: bytes | bytearray) -> ExportTraceServiceRequest:
    """Parse an OTLP/protobuf export request; raises ValueError when it is not one, and TooManyPartsError."""
    try:
        check_protobuf(body, TRACES)
        return ExportTraceServiceRequest.FromString(body)  # type: ignore[arg-type] # any bytes-like object
    except (DecodeError, ValueError) as error:
        raise ValueError(f"not an OTLP protobuf message: {error}") from error


def parse_logs_protobuf(body: bytes | bytearray) -> ExportLogsServiceRequest:
    """As `parse_protobuf`, of log records."""
    try:
        check_protobuf(body, LOGS)
        return ExportLogsServiceRequest.FromString(body)  # type: ignore[arg-type]
    except (DecodeError, ValueError) as error:
        raise ValueError(f"not an OTLP protobuf message: {error}") from error


def parse_json(body: bytes | bytearray) -> ExportTraceServiceRequest:
    """Parse an OTLP/JSON export request; unknown fields are ignored; raises ValueError when it is not one.

    Raises TooManyPartsError, too.

    Differs from protobuf's own JSON mapping in one thing: ids are hex there and not base64
    (https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding).
    """
    check_json(body)
    request = ExportTraceServiceRequest()
    _parse(_decoded(body), request)
    return request


def parse_logs_json(body: bytes | bytearray) -> ExportLogsServiceRequest:
    """As `parse_json`, of log records."""
    check_json(body)
    request = ExportLogsServiceRequest()
    _parse(_decoded(body), request)
    return request


def parse_saved(text: bytes) -> tuple[ExportTraceServiceRequest, ExportLogsServiceRequest]:
    """A file's JSON, with spans and log records in one object; of any size. Raises ValueError."""
    document = _decoded(text)
    if not {"resourceSpans", "resource_spans", "resourceLogs", "resource_logs"} & document.keys():
        raise ValueError("not OTLP/JSON: it has no resourceSpans")
    spans, logs = ExportTraceServiceRequest(), ExportLogsServiceRequest()
    for names, message in ((("resourceSpans", "resource_spans"), spans), (("resourceLogs", "resource_logs"), logs)):
        _parse({name: document[name] for name in names if name in document}, message)
    return spans, logs


def _decoded(body: bytes | bytearray) -> dict[str, Any]:
    try:
        text = body.decode()
        del body  # a text of wide characters is four times as large
        document = json.loads(text, object_hook=_ids_to_base64)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not OTLP/JSON: {error}") from error
    if not isinstance(document, dict):
        raise ValueError("not OTLP/JSON: an export request is a JSON object")  # noqa: TRY004
    return document


def _parse(document: Mapping[str, Any], message: ExportTraceServiceRequest | ExportLogsServiceRequest) -> None:
    try:
        ParseDict(document, message, ignore_unknown_fields=True)
    # ParseDict lets its own TypeErrors and the like escape where a value has a shape it did not expect.
    except (ParseError, ValueError, TypeError, AttributeError, KeyError, RecursionError, OverflowError) as error:
        raise ValueError(f"not OTLP/JSON: {error}") from error


def _ids_to_base64(record: dict[str, Any]) -> dict[str, Any]:
    for name in _ID_FIELDS & record.keys():
        if isinstance(value := record[name], str):
            try:
                # unhexlify, because bytes.fromhex would let spaces pass
                record[name] = base64.b64encode(binascii.unhexlify(value)).decode("ascii")
            except ValueError as error:
                raise ValueError(f"{name} is not hex: {value!r:.80}") from error
    return record
