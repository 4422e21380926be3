"""A real span, as the application's exporter would send it."""

from __future__ import annotations

import time
from secrets import randbits

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags

from tracebaton_configurator import __version__
from tracebaton_configurator.export.encode import Encoder

__all__ = ["NAME", "make_payload"]

NAME = "tracebaton doctor"


def make_payload(service_name: str) -> tuple[str, bytes]:
    """The trace id, in hexadecimal digits, and an ExportTraceServiceRequest with a span that has no parent."""
    context = SpanContext(randbits(128) or 1, randbits(64) or 1, is_remote=False, trace_flags=TraceFlags(1))
    now = time.time_ns()
    span = ReadableSpan(
        name=NAME,
        context=context,
        resource=Resource({"service.name": service_name, "telemetry.distro.name": "tracebaton"}),
        kind=SpanKind.INTERNAL,
        instrumentation_scope=InstrumentationScope("tracebaton.doctor", __version__),
        start_time=now - 1_000_000,
        end_time=now,
    )
    return f"{context.trace_id:032x}", Encoder().encode([span])
