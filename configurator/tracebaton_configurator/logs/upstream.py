"""The private name of OpenTelemetry's API under which a context has its span.

Checked with API 1.42.0 to 1.45.2; its tests fail where it is gone.
"""

from opentelemetry.trace.propagation import _SPAN_KEY as CURRENT_SPAN

__all__ = ["CURRENT_SPAN"]
