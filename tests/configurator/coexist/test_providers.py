"""Providers that come second, against the SDK itself."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tracebaton_configurator.coexist.exporters import SharedSpans, processors_of
from tracebaton_configurator.coexist.providers import coexist
from tracebaton_configurator.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Iterator


def settings(**environ: str) -> Any:
    return read_settings(environ, ["python"], "/")


class To(SpanExporter):
    """An exporter as OTLP's are: it keeps where it sends to in `_endpoint`."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self.spans: list[str] = []

    def export(self, spans: Any) -> SpanExportResult:
        self.spans += [span.name for span in spans]
        return SpanExportResult.SUCCESS


@pytest.fixture
def ours() -> TracerProvider:
    return TracerProvider(shutdown_on_exit=False)


@pytest.fixture
def theirs() -> TracerProvider:
    return TracerProvider(shutdown_on_exit=False)


def end_a_span(provider: TracerProvider) -> None:
    provider.get_tracer("t").start_span("x").end()


class TestSharedSpans:
    def test_processors_that_are_added_later_count(self, ours: TracerProvider, theirs: TracerProvider) -> None:
        SharedSpans(ours, settings()).add(processors_of(theirs))
        exporter = InMemorySpanExporter()
        theirs.add_span_processor(SimpleSpanProcessor(exporter))
        end_a_span(ours)
        assert [span.name for span in exporter.get_finished_spans()] == ["x"]

    @pytest.mark.parametrize(
        ("endpoint", "sent"),
        [
            ("http://otel-collector:4318/v1/traces", []),
            ("otel-collector:4317", []),
            ("https://other.example/otlp", ["x"]),
            ("http://[", ["x"]),
        ],
    )
    def test_nothing_is_sent_twice_to_one_host(
        self, ours: TracerProvider, theirs: TracerProvider, endpoint: str, sent: list[str]
    ) -> None:
        shared = SharedSpans(ours, settings(OTEL_EXPORTER_OTLP_ENDPOINT="http://otel-collector:4317"))
        shared.add(processors_of(theirs))
        exporter = To(endpoint)
        theirs.add_span_processor(SimpleSpanProcessor(exporter))
        end_a_span(ours)
        assert exporter.spans == sent

    @pytest.mark.parametrize(("exporters", "lines"), [("console", 0), ("otlp", 1)])
    def test_nor_to_the_console(
        self,
        ours: TracerProvider,
        theirs: TracerProvider,
        exporters: str,
        lines: int,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        SharedSpans(ours, settings(OTEL_TRACES_EXPORTER=exporters)).add(processors_of(theirs))
        theirs.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(out=sys.stdout)))
        end_a_span(ours)
        assert capsys.readouterr().out.count('"name": "x"') == lines

    def test_localhost_has_several_names(self, ours: TracerProvider, theirs: TracerProvider) -> None:
        SharedSpans(ours, settings()).add(processors_of(theirs))
        exporter = To("127.0.0.1:4317")
        theirs.add_span_processor(SimpleSpanProcessor(exporter))
        end_a_span(ours)
        assert exporter.spans == []

    def test_a_processor_that_fails_takes_nothing_along(self, ours: TracerProvider, theirs: TracerProvider) -> None:
        class Broken(SpanProcessor):
            def on_start(self, *_: Any, **__: Any) -> None:
                raise RuntimeError("no luck")

            on_end = on_start
            force_flush = on_start  # type: ignore[assignment]

        theirs.add_span_processor(Broken())
        exporter = InMemorySpanExporter()
        theirs.add_span_processor(SimpleSpanProcessor(exporter))
        SharedSpans(ours, settings()).add(processors_of(theirs))
        end_a_span(ours)
        ours.shutdown()
        assert len(exporter.get_finished_spans()) == 1

    def test_the_end_of_ours_is_not_the_end_of_theirs(self, ours: TracerProvider, theirs: TracerProvider) -> None:
        exporter = InMemorySpanExporter()
        theirs.add_span_processor(SimpleSpanProcessor(exporter))
        SharedSpans(ours, settings()).add(processors_of(theirs))
        ours.shutdown()
        end_a_span(theirs)
        assert len(exporter.get_finished_spans()) == 1


def test_a_provider_of_another_kind_has_no_processors() -> None:
    assert processors_of(trace.NoOpTracerProvider()) is None
    assert processors_of(None) is None


class TestKeepCompany:
    @pytest.fixture(autouse=True)
    def alone(self, ours: TracerProvider, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        """As in a process in which this project's provider is the global one, and no MeterProvider is set."""
        from opentelemetry.metrics import _internal
        from opentelemetry.util._once import Once

        monkeypatch.setattr(trace, "_TRACER_PROVIDER", ours)
        monkeypatch.setattr(_internal, "_METER_PROVIDER", None)
        monkeypatch.setattr(_internal, "_METER_PROVIDER_SET_ONCE", Once())
        self.bypassed = 0
        undo = coexist(ours, settings(), self.bypass)
        yield
        undo()

    def bypass(self) -> None:
        self.bypassed += 1

    def test_the_second_provider_gets_a_share_and_the_first_stays(
        self, ours: TracerProvider, theirs: TracerProvider, caplog: pytest.LogCaptureFixture
    ) -> None:
        exporter = InMemorySpanExporter()
        theirs.add_span_processor(SimpleSpanProcessor(exporter))
        trace.set_tracer_provider(theirs)
        trace.set_tracer_provider(theirs)
        assert trace.get_tracer_provider() is ours
        end_a_span(ours)
        assert len(exporter.get_finished_spans()) == 1
        assert "Overriding" not in caplog.text

    def test_ours_set_once_more_is_not_company(self, ours: TracerProvider) -> None:
        trace.set_tracer_provider(ours)
        end_a_span(ours)  # would be handed to itself without end

    def test_a_real_meter_provider_has_the_gate_stand_aside(self) -> None:
        metrics.set_meter_provider(MeterProvider(shutdown_on_exit=False))
        assert self.bypassed == 1

    def test_one_that_counts_nothing_does_not(self) -> None:
        metrics.set_meter_provider(metrics.NoOpMeterProvider())
        assert self.bypassed == 0

    def test_one_that_is_refused_does_not(self) -> None:
        metrics.set_meter_provider(MeterProvider(shutdown_on_exit=False))
        metrics.set_meter_provider(MeterProvider(shutdown_on_exit=False))
        assert self.bypassed == 1

    def test_it_is_said_once_however_often_one_is_set(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An application's own tests set OpenTelemetry up for each of them, and may count the lines that are logged."""
        from opentelemetry.metrics import _internal
        from opentelemetry.util._once import Once

        for _ in range(3):
            monkeypatch.setattr(_internal, "_METER_PROVIDER_SET_ONCE", Once())
            metrics.set_meter_provider(MeterProvider(shutdown_on_exit=False))
        assert self.bypassed == 3
        assert capsys.readouterr().err.count("a MeterProvider of its own") == 1


def test_upstream_has_what_is_patched() -> None:
    """Every way to set a provider leads through these two."""
    from opentelemetry.metrics import _internal

    assert "_set_tracer_provider" in trace.set_tracer_provider.__code__.co_names
    assert "_set_meter_provider" in _internal.set_meter_provider.__code__.co_names
