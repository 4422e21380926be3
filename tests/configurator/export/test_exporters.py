"""Which exporter the settings mean."""

import pytest

from tracebaton_configurator.export.exporters import UnknownExporterError, find_span_exporter, load
from tracebaton_configurator.settings.endpoint import Endpoint


@pytest.mark.parametrize(
    ("name", "protocol", "module"),
    [
        ("otlp", "grpc", "opentelemetry.exporter.otlp.proto.grpc.trace_exporter"),
        ("otlp", "http/protobuf", "opentelemetry.exporter.otlp.proto.http.trace_exporter"),
        ("otlp_proto_grpc", "http/protobuf", "opentelemetry.exporter.otlp.proto.grpc.trace_exporter"),
        ("otlp_proto_http", "grpc", "opentelemetry.exporter.otlp.proto.http.trace_exporter"),
    ],
)
def test_otlp_in_either_protocol(name: str, protocol: str, module: str) -> None:
    exporter = find_span_exporter(name, Endpoint("http://localhost:4317", protocol, "gzip"))()
    try:
        assert type(exporter).__module__ == module
    finally:
        exporter.shutdown()


def test_any_installed_exporter() -> None:
    assert type(find_span_exporter("console", Endpoint("", "grpc"))()).__name__ == "ConsoleSpanExporter"


def test_an_unknown_one_says_which_there_are() -> None:
    with pytest.raises(UnknownExporterError, match="console, none, otlp, otlp_proto_grpc, otlp_proto_http"):
        load("otlpp", "traces")
