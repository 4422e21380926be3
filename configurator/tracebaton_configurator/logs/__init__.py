"""Log correlation: every line carries the trace context of its request."""
