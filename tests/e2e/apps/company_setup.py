"""An application that sets OpenTelemetry up by itself, as its documentation shows: all four parts of it."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from opentelemetry import metrics, trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter, SpanExportResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.trace import ReadableSpan


class FileExporter(SpanExporter):
    """The application's own backend."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        with Path(os.environ["COMPANY_SPANS"]).open("a") as file:
            for span in spans:
                assert span.context is not None
                file.write(json.dumps({"name": span.name, "span_id": f"{span.context.span_id:016x}"}) + "\n")
        return SpanExportResult.SUCCESS


class Correlation(logging.Filter):
    """The application's own log correlation."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.trace_id = f"{trace.get_current_span().get_span_context().trace_id:032x}"
        return True


handler = logging.StreamHandler()
handler.addFilter(Correlation())
handler.setFormatter(logging.Formatter("%(levelname)s [%(trace_id)s] %(message)s"))
logging.basicConfig(level=logging.INFO, handlers=[handler])

if os.environ.get("COMPANY_LOGGING"):
    from opentelemetry.instrumentation.logging import LoggingInstrumentor

    LoggingInstrumentor().instrument(set_logging_format=True)

provider = TracerProvider(resource=Resource({"service.name": "called-by-itself"}))
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(insecure=True)))
trace.set_tracer_provider(provider)
provider.add_span_processor(SimpleSpanProcessor(FileExporter()))

reader = InMemoryMetricReader()
app = FastAPI()


def note(span: trace.Span, _: dict[str, Any]) -> None:
    span.set_attribute("company.hook", "called")


FastAPIInstrumentor.instrument_app(app, server_request_hook=note, excluded_urls="/quiet")
# As late as in an application's lifespan: the instruments that exist by then follow.
metrics.set_meter_provider(MeterProvider([reader]))


@app.get("/work/{number}")
async def work(number: int) -> dict[str, str]:
    with trace.get_tracer("app").start_as_current_span("of the global provider"):
        logging.getLogger("app").info("working on %s", number)
    with provider.get_tracer("app").start_as_current_span("of its own provider"):
        pass
    return {"trace_id": f"{trace.get_current_span().get_span_context().trace_id:032x}"}


@app.get("/quiet")
async def quiet() -> None:
    """Excluded by the application."""


@app.get("/counted")
async def counted() -> dict[str, int]:
    """How many requests the application's own metrics have counted, by route."""
    found: dict[str, int] = {}
    data = reader.get_metrics_data()
    for resource in data.resource_metrics if data else ():
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                if metric.name == "http.server.duration":
                    for point in metric.data.data_points:
                        route = str((point.attributes or {}).get("http.target"))
                        found[route] = found.get(route, 0) + getattr(point, "count", 0)
    return found
