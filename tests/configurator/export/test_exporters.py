"""Which exporter the settings mean."""

import pytest

from tracebaton_configurator.export.exporters import UnknownExporterError, load, make_client
from tracebaton_configurator.names import is_otlp
from tracebaton_configurator.settings.endpoint import Endpoint


@pytest.mark.parametrize(
    ("name", "protocol", "client"),
    [
        ("otlp", "grpc", "GrpcClient"),
        ("otlp", "http/protobuf", "HttpClient"),
        ("otlp_proto_grpc", "http/protobuf", "GrpcClient"),
        ("otlp_proto_http", "grpc", "HttpClient"),
    ],
)
def test_otlp_in_either_protocol(name: str, protocol: str, client: str) -> None:
    assert is_otlp(name)
    assert type(make_client(name, Endpoint("http://localhost:4317", protocol, "gzip"))).__name__ == client


def test_any_installed_exporter() -> None:
    assert not is_otlp("console")
    assert type(load("console", "traces")()).__name__ == "ConsoleSpanExporter"


def test_an_unknown_one_says_which_there_are() -> None:
    with pytest.raises(UnknownExporterError, match="console, none, otlp, otlp_proto_grpc, otlp_proto_http"):
        load("otlpp", "traces")
