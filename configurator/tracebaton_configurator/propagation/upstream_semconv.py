"""The private names of OpenTelemetry's semantic conventions in transition that this package uses.

Checked with opentelemetry-instrumentation 0.63b0 to 0.66b2.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from opentelemetry.instrumentation._semconv import (
    _OpenTelemetrySemanticConventionStability,
    _OpenTelemetryStabilitySignalType,
    _report_new,
    _set_http_host_client,
    _set_http_method,
    _set_http_peer_port_client,
    _set_http_url,
    _set_status,
)
from opentelemetry.util.http import redact_url, sanitize_method

if TYPE_CHECKING:
    from opentelemetry.trace import Span


@cache
def mode() -> Any:
    """Which of the conventions for HTTP the process has opted for, as upstream's own object."""
    kind: Any = _OpenTelemetrySemanticConventionStability
    kind._initialize()  # noqa: SLF001
    return kind._get_opentelemetry_stability_opt_in_mode(_OpenTelemetryStabilitySignalType.HTTP)  # noqa: SLF001


def of_call(method: str, url: str, host: str | None, port: int | None) -> tuple[str, dict[str, Any]]:
    """Name and attributes of a client's span, as upstream's instrumentations for aiohttp and httpx have them."""
    attributes: dict[str, Any] = {}
    known = sanitize_method(method.strip())
    _set_http_method(attributes, method, known, mode())
    _set_http_url(attributes, redact_url(url), mode())
    if _report_new(mode()):
        if host:
            _set_http_host_client(attributes, host, mode())
        if port:
            _set_http_peer_port_client(attributes, port, mode())
    return ("HTTP" if known == "_OTHER" else known), attributes


def set_answer(span: Span, status: int) -> None:
    """The status code of the answer, and what it means for the span."""
    _set_status(span, {}, status, str(status), server_span=False, sem_conv_opt_in_mode=mode())
