"""The private names of OpenTelemetry that the gate uses, in this one place.

Checked with API and SDK 1.42.0 to 1.45.2 and instrumentation 0.63b0 to 0.66b2; the tests of the gate fail where one is
gone.
"""

from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY as SUPPRESS_INSTRUMENTATION
from opentelemetry.context import create_key
from opentelemetry.instrumentation._semconv import _StabilityMode as StabilityMode
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware, asgi_getter, collect_request_attributes
from opentelemetry.trace.propagation import _SPAN_KEY as CURRENT_SPAN

# Ours, beside upstream's: set where a request is not recorded, so that its HTTP clients still hand the trace on.
UNRECORDED = create_key("tracebaton-unrecorded")

__all__ = [
    "CURRENT_SPAN",
    "SUPPRESS_INSTRUMENTATION",
    "UNRECORDED",
    "OpenTelemetryMiddleware",
    "StabilityMode",
    "asgi_getter",
    "collect_request_attributes",
]
