"""The private names of OpenTelemetry's API that this package uses, in this one place.

Checked with API 1.42.0 to 1.45.2; its tests fail where one is gone.
"""

from opentelemetry.context import _SUPPRESS_HTTP_INSTRUMENTATION_KEY as SUPPRESS_HTTP_INSTRUMENTATION
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY as SUPPRESS_INSTRUMENTATION
from opentelemetry.trace.propagation import _SPAN_KEY as CURRENT_SPAN

__all__ = ["CURRENT_SPAN", "SUPPRESS_HTTP_INSTRUMENTATION", "SUPPRESS_INSTRUMENTATION"]
