"""What carries the trace context to whoever is called."""
