"""The private names of OpenTelemetry's ASGI instrumentation that this package uses; imported once something serves.

Checked with opentelemetry-instrumentation-asgi 0.63b0 to 0.66b2; its tests fail where one is gone.
"""

from opentelemetry.instrumentation._semconv import _StabilityMode as StabilityMode
from opentelemetry.instrumentation.asgi import (
    OpenTelemetryMiddleware,
    asgi_getter,
    collect_request_attributes,
    set_status_code,
)

__all__ = [
    "OpenTelemetryMiddleware",
    "StabilityMode",
    "asgi_getter",
    "collect_request_attributes",
    "set_status_code",
]
