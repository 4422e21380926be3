"""A script that gives OpenTelemetry cause for diagnostic, five times over, in the middle of a span."""

import logging

from opentelemetry import trace

logging.basicConfig(format="%(levelname)s %(message)s")
with trace.get_tracer("script").start_as_current_span("work") as span:
    for _ in range(5):
        span.set_attribute("order", {1, 2})
logging.getLogger("script").warning("done")
