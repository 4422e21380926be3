"""The private names of OpenTelemetry that this package uses. Checked with API 1.42.0 to 1.45.2."""

from opentelemetry.metrics import _internal as metrics

__all__ = ["metrics"]
