"""What a receiver's answer means for a batch: delivered, to be sent again, to be split, or refused for good.

OTLP's rules: https://opentelemetry.io/docs/specs/otlp/#failures (gRPC) and #failures-1 (HTTP).
protobuf is imported only where an answer carries a message, which a plain success does not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING
from urllib.parse import unquote

from tracebaton_configurator.export.forks import importing
from tracebaton_configurator.logs.printable import printable_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Hide = Callable[[str], str]

_CODES = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)
_RETRYABLE = frozenset(["CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"])
_RETRYABLE_HTTP = frozenset([429, 502, 503, 504])
# Codes under which servers say that a message is too large.
_OF_SIZE = frozenset(["RESOURCE_EXHAUSTED", "OUT_OF_RANGE", "INVALID_ARGUMENT", "UNKNOWN", "INTERNAL"])
# grpc-go: "received message larger than max (5 vs. 4)"; tonic: "decoded message length too large".
_TOO_LARGE = r"larger than max|too large|exceeds? .*(?:limit|max)"  # compiled where it is needed: few starts do
# The answer of a proxy, or of a server that is no gRPC server at all (gRPC, "HTTP to gRPC Status Code Mapping").
_OF_HTTP = {400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 14}
_LONGEST_WAIT = 300.0
_LONGEST_TEXT = 300


class Outcome(Enum):
    """What is to be done with the batch."""

    DELIVERED = "delivered"
    RETRY = "retry"
    SPLIT = "split"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class ExportResult:
    """`reason` is empty for a plain success; `wait` is in seconds, where the receiver said how long.

    `rejected` is the number of spans that a receiver did not take out of a batch that it took (partial success).
    `cut`: it ended the connection without an answer.
    """

    outcome: Outcome
    reason: str = ""
    wait: float | None = None
    rejected: int = 0
    cut: bool = field(default=False, compare=False)


def no_answer(reason: str, hide: Hide = str, error: Exception | None = None) -> ExportResult:
    """The receiver was not reached, or did not answer as one. `hide` masks what must not be shown, here and below."""
    cut = isinstance(error, ConnectionError) and not isinstance(error, ConnectionRefusedError)
    return ExportResult(Outcome.RETRY, _printable(hide(reason)), cut=cut)


def of_grpc(http_status: str, headers: Mapping[str, str], body: bytes, hide: Hide = str) -> ExportResult:
    """From the response's status, its headers and trailers together, and its body with gRPC's framing."""
    number = headers.get("grpc-status")
    message = unquote(headers.get("grpc-message", ""), errors="replace")
    if number is None:
        status = _number(http_status, 0)
        # Without trailers the call was cut; nothing is known about it.
        code = 14 if status == 200 else _OF_HTTP.get(status, 2)
        if status == 413:
            return ExportResult(Outcome.SPLIT, "HTTP status 413")
        message = message or ("the answer ended too early" if status == 200 else f"HTTP status {status}")
    else:
        code = _number(number, 2)
    if code == 0:
        return _success(body[5:], hide)
    name = _CODES[code] if code < len(_CODES) else f"status {code}"
    reason = _printable(hide(f"{name}: {message}" if message else name))
    wait = _retry_info(headers.get("grpc-status-details-bin"))
    # A rate that is too large is none that a smaller batch would help against: it comes with a wait, or as UNAVAILABLE.
    if wait is None and name in _OF_SIZE and re.search(_TOO_LARGE, message, re.IGNORECASE):
        return ExportResult(Outcome.SPLIT, reason)
    if name in _RETRYABLE or (name == "RESOURCE_EXHAUSTED" and wait is not None):
        return ExportResult(Outcome.RETRY, reason, wait)
    return ExportResult(Outcome.REFUSED, reason)


def of_http(status: int, headers: Mapping[str, str], body: bytes, hide: Hide = str) -> ExportResult:
    """From the response's status, headers (names in lower case) and body."""
    if 200 <= status < 300:
        return _success(body if "protobuf" in headers.get("content-type", "protobuf") else b"", hide)
    reason = f"HTTP status {status}"
    if "protobuf" in headers.get("content-type", ""):
        reason += _status_message(body)
    elif "text/plain" in headers.get("content-type", "") and body.strip():
        # More than is shown, so that a value to be masked is not cut before it is found.
        reason += f": {body[: _LONGEST_TEXT * 10].decode(errors='replace').strip()}"
    reason = _printable(hide(reason))
    if status == 413:
        return ExportResult(Outcome.SPLIT, reason)
    if status in _RETRYABLE_HTTP:
        return ExportResult(Outcome.RETRY, reason, _retry_after(headers.get("retry-after", "")))
    return ExportResult(Outcome.REFUSED, reason)


def _printable(text: str) -> str:
    return printable_text(text[:_LONGEST_TEXT])


def _success(message: bytes, hide: Hide) -> ExportResult:
    """ExportTraceServiceResponse, whose `partial_success` says what was left out of the batch."""
    if not message:
        return ExportResult(Outcome.DELIVERED)
    with importing():
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

    try:
        partial = ExportTraceServiceResponse.FromString(message).partial_success
    except Exception:  # noqa: BLE001 (it said that it has the batch; what else it said is not needed)
        return ExportResult(Outcome.DELIVERED)
    return ExportResult(
        Outcome.DELIVERED, _printable(hide(partial.error_message)), rejected=max(0, partial.rejected_spans)
    )


def _number(text: str, otherwise: int) -> int:
    """At most three ASCII digits; `str.isdigit` knows more of them than `int` does."""
    return int(text) if len(text) <= 3 and text.isascii() and text.isdigit() else otherwise


def _retry_info(details: str | None) -> float | None:
    """Seconds, out of the `google.rpc.RetryInfo` in `grpc-status-details-bin`; None without one."""
    if not details:
        return None
    with importing():
        from base64 import b64decode

        from google.rpc.error_details_pb2 import RetryInfo
        from google.rpc.status_pb2 import Status

    try:
        # gRPC allows base64 without its padding.
        for detail in Status.FromString(b64decode(details + "=" * (-len(details) % 4))).details:
            info = RetryInfo()
            if detail.Unpack(info):
                return _bounded(info.retry_delay.seconds + info.retry_delay.nanos / 1e9)
    except Exception:  # noqa: BLE001 (then it is a failure without details)
        return None
    return None


def _retry_after(value: str) -> float | None:
    """Seconds from now, given as such or as a date (RFC 9110, 10.2.3)."""
    value = value.strip()
    if value.isascii() and value.isdigit():
        return _bounded(float(value[:9]))
    if not value:
        return None
    with importing():
        from datetime import datetime, timezone
        from email.utils import parsedate_to_datetime

    try:
        date = parsedate_to_datetime(value)
        if date.tzinfo is None:
            date = date.replace(tzinfo=timezone.utc)
        return _bounded((date - datetime.now(timezone.utc)).total_seconds())
    except (TypeError, ValueError, OverflowError):
        return None


def _bounded(seconds: float) -> float:
    return min(max(seconds, 0.0), _LONGEST_WAIT)


def _status_message(body: bytes) -> str:
    """`google.rpc.Status.message`, which OTLP over HTTP puts into the body of a failure."""
    with importing():
        from google.rpc.status_pb2 import Status

    try:
        message = Status.FromString(body).message
    except Exception:  # noqa: BLE001 (then the status alone has to do)
        return ""
    return f": {message}" if message else ""
