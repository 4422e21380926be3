"""The private names of OpenTelemetry's instrumentation of httpx that this package uses.

Checked with opentelemetry-instrumentation-httpx 0.63b0 to 0.66b2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.instrumentation._semconv import _report_new
from opentelemetry.instrumentation.httpx import (
    _apply_request_client_attributes_to_span,
    _apply_response_client_attributes_to_span,
)

from tracebaton_configurator.propagation.upstream_semconv import mode

if TYPE_CHECKING:
    from opentelemetry.trace import Span


def set_call(span: Span, httpx: Any, method: str, url: Any, status: int, version: str, error: str) -> None:
    """The attributes that upstream gives a call, less captured headers.

    `status` is 0 where there was no answer, and `error` the type of what was raised, or empty.
    """
    attributes: dict[str, Any] = {}
    _apply_request_client_attributes_to_span(attributes, {}, url, method, mode(), httpx)
    span.set_attributes(attributes)
    if error and _report_new(mode()):
        span.set_attribute("error.type", error)
    if status:
        _apply_response_client_attributes_to_span(span, status, version, mode(), httpx)
