"""Where spans go, and how, follows from two variables."""

import pytest

from tracebaton_configurator.settings.endpoint import Endpoint, read_endpoint
from tracebaton_configurator.settings.reader import Reader

E = "OTEL_EXPORTER_OTLP_ENDPOINT"
T = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
P = "OTEL_EXPORTER_OTLP_PROTOCOL"


@pytest.mark.parametrize(
    ("environ", "url", "protocol"),
    [
        ({}, "http://localhost:4317", "grpc"),
        ({E: ""}, "http://localhost:4317", "grpc"),
        ({E: " http://otel-collector:4317 "}, "http://otel-collector:4317", "grpc"),
        ({E: "http://otel-collector:4318"}, "http://otel-collector:4318/v1/traces", "http/protobuf"),
        ({E: "http://otel-collector:4318/base/"}, "http://otel-collector:4318/base/v1/traces", "http/protobuf"),
        ({T: "http://otel-collector:4318/mine"}, "http://otel-collector:4318/mine", "http/protobuf"),
        ({E: "http://a:4318", T: "http://b:4317"}, "http://b:4317", "grpc"),
        ({E: "https://otel.example"}, "https://otel.example", "grpc"),
        ({P: "http/protobuf"}, "http://localhost:4318/v1/traces", "http/protobuf"),
        ({P: "HTTP/Protobuf", E: "http://c:4317"}, "http://c:4317/v1/traces", "http/protobuf"),
        ({P: "grpc", E: "http://c:4318"}, "http://c:4318", "grpc"),
        ({E: "c:4317", "OTEL_EXPORTER_OTLP_INSECURE": "true"}, "http://c:4317", "grpc"),
        ({E: "c:4317", "OTEL_EXPORTER_OTLP_INSECURE": "false"}, "https://c:4317", "grpc"),
    ],
)
def test_right_values(environ: dict[str, str], url: str, protocol: str) -> None:
    reader = Reader(environ)
    assert read_endpoint(reader) == Endpoint(url, protocol)
    assert reader.problems == []


@pytest.mark.parametrize(
    ("environ", "url", "said"),
    [
        ({E: "c:4317"}, "http://c:4317", "has no scheme"),
        ({E: "ftp://c:4317"}, "http://localhost:4317", "is not a URL of a receiver"),
        ({E: "http://c:port"}, "http://localhost:4317", "is not a URL of a receiver"),
        ({E: "http://c:99999"}, "http://localhost:4317", "is not a URL of a receiver"),
        ({E: "http://"}, "http://localhost:4317", "is not a URL of a receiver"),
        ({P: "http/json"}, "http://localhost:4317", "is unknown: accepted is grpc or http/protobuf"),
    ],
)
def test_wrong_values_are_said_and_replaced(environ: dict[str, str], url: str, said: str) -> None:
    reader = Reader(environ)
    assert read_endpoint(reader).url == url
    (problem,) = reader.problems
    assert said in str(problem)


def test_how_requests_are_made() -> None:
    reader = Reader(
        {
            "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
            "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": "2.5",
            "OTEL_EXPORTER_OTLP_HEADERS": "Authorization=Bearer%20x=y, api-key=k",
        }
    )
    endpoint = read_endpoint(reader)
    assert (endpoint.compression, endpoint.timeout) == ("gzip", 2.5)
    assert endpoint.headers == (("authorization", "Bearer x=y"), ("api-key", "k"))
    assert "Bearer" not in repr(endpoint)
    assert reader.problems == []


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zip", "accepted is none, gzip; none is used"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "deflate", "accepted is none, gzip; none is used"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "is not a number of seconds"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "0", "is not a number of seconds"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "secret-token", "OTEL_EXPORTER_OTLP_HEADERS='***' has a part without a name"),
    ],
)
def test_wrong_details_are_said_without_secrets(variable: str, value: str, said: str) -> None:
    reader = Reader({variable: value})
    read_endpoint(reader)
    (problem,) = reader.problems
    assert said in str(problem)
    assert "secret" not in str(problem)


def test_the_scheme_decides_about_plaintext() -> None:
    assert Endpoint("http://c:4317", "grpc").insecure
    assert not Endpoint("https://c:4317", "grpc").insecure


def test_credentials_are_not_shown() -> None:
    assert str(Endpoint("http://user:secret@c:4317/x", "grpc")) == "http://c:4317/x"
    reader = Reader({E: "ftp://user:secret@c:4317"})
    read_endpoint(reader)
    assert "secret" not in str(reader.problems)
