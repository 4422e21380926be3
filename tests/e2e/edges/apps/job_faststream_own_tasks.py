"""The same with a telemetry middleware that the application adds by itself."""

from __future__ import annotations

from faststream.redis.opentelemetry import RedisTelemetryMiddleware
from job_faststream_tasks import add, app, broker

__all__ = ["add", "app"]

broker.add_middleware(RedisTelemetryMiddleware())
