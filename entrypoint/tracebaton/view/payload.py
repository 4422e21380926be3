"""The two encodings of an OTLP export request, protobuf and JSON, into the one protobuf message."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tracebaton.view.parts import check_json, check_protobuf

__all__ = ["parse_json", "parse_protobuf"]

# lowerCamelCase is the specification's spelling; protobuf's JSON mapping also takes the field's own name.
_ID_FIELDS = {"traceId", "spanId", "parentSpanId", "trace_id", "span_id", "parent_span_id"}


def parse_protobuf(body: bytes | bytearray) -> ExportTraceServiceRequest:
    """Parse an OTLP/protobuf export request; raises ValueError when it is not one, and TooManyPartsError."""
    try:
        check_protobuf(body)
        return ExportTraceServiceRequest.FromString(body)  # type: ignore[arg-type] # any bytes-like object
    except (DecodeError, ValueError) as error:
        raise ValueError(f"not an OTLP protobuf message: {error}") from error


def parse_json(body: bytes | bytearray) -> ExportTraceServiceRequest:
    """Parse an OTLP/JSON export request; unknown fields are ignored; raises ValueError when it is not one.

    Raises TooManyPartsError, too.

    Differs from protobuf's own JSON mapping in one thing: ids are hex there and not base64
    (https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding).
    """
    request = ExportTraceServiceRequest()
    check_json(body)
    try:
        text = body.decode()
        del body  # a text of wide characters is four times as large
        document = json.loads(text, object_hook=_ids_to_base64)
        del text
        if not isinstance(document, dict):
            raise TypeError("an export request is a JSON object")
        ParseDict(document, request, ignore_unknown_fields=True)
    # ParseDict lets its own TypeErrors and the like escape where a value has a shape it did not expect.
    except (ParseError, ValueError, TypeError, AttributeError, KeyError, RecursionError, OverflowError) as error:
        raise ValueError(f"not OTLP/JSON: {error}") from error
    return request


def _ids_to_base64(record: dict[str, Any]) -> dict[str, Any]:
    for name in _ID_FIELDS & record.keys():
        if isinstance(value := record[name], str):
            try:
                # unhexlify, because bytes.fromhex would let spaces pass
                record[name] = base64.b64encode(binascii.unhexlify(value)).decode("ascii")
            except ValueError as error:
                raise ValueError(f"{name} is not hex: {value!r:.80}") from error
    return record
