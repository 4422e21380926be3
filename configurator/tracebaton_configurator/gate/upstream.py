"""The private names of OpenTelemetry that the gate uses, in this one place.

Checked with API and SDK 1.42.0 to 1.45.2 and instrumentation 0.63b0 to 0.66b2; the tests of the gate fail where one is
gone.
"""

from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY as SUPPRESS_INSTRUMENTATION
from opentelemetry.instrumentation._semconv import _StabilityMode as StabilityMode
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware, asgi_getter, collect_request_attributes
from opentelemetry.trace.propagation import _SPAN_KEY as CURRENT_SPAN

__all__ = [
    "CURRENT_SPAN",
    "SUPPRESS_INSTRUMENTATION",
    "OpenTelemetryMiddleware",
    "StabilityMode",
    "asgi_getter",
    "collect_request_attributes",
]
