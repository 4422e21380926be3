"""Where spans go, and how, follows from two variables."""

import pytest

from tracebaton_configurator.settings import read_settings
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
        ({P: "http/json"}, "http://localhost:4317", "is unknown (expected grpc or http/protobuf"),
    ],
)
def test_wrong_values_are_said_and_replaced(environ: dict[str, str], url: str, said: str) -> None:
    reader = Reader(environ)
    assert read_endpoint(reader).url == url
    (problem,) = reader.problems
    assert said in str(problem)


@pytest.mark.parametrize("target", ["unix:///run/otlp.sock", "unix:otlp.sock", "unix-abstract:otlp", "dns:///c:4317",
                                    "dns:c:4317", "ipv4:10.0.0.1:4317", "ipv6:[::1]:4317", "vsock:2:4317"])  # fmt: skip
@pytest.mark.parametrize(("insecure", "plaintext"), [(None, True), ("true", True), ("false", False), ("flase", False)])
def test_targets_of_grpc_that_are_no_urls(target: str, insecure: str | None, *, plaintext: bool) -> None:
    """They have no scheme that says whether TLS is meant: the variable does, and plaintext is the default."""
    reader = Reader({E: target} | ({"OTEL_EXPORTER_OTLP_INSECURE": insecure} if insecure else {}))
    endpoint = read_endpoint(reader)
    assert (endpoint.url, endpoint.protocol, endpoint.insecure) == (target, "grpc", plaintext)
    assert str(endpoint) == target
    assert reader.problems == []


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({E: "unix:"}, "has no scheme"),
        ({E: "unix:///"}, "is not a URL of a receiver"),
        ({E: "dns://8.8.8.8/c:4317"}, "is not a URL of a receiver"),
        ({E: "unix:///run/a b"}, "has a space"),
        ({E: "unix:///run/otlp.sock", P: "http/protobuf"}, "is a target of gRPC's, which http/protobuf does not know"),
    ],
)
def test_targets_that_are_wrong(environ: dict[str, str], said: str) -> None:
    reader = Reader(environ)
    assert read_endpoint(reader).url.startswith("http://")
    assert said in str(reader.problems[0])


@pytest.mark.parametrize("name", ["unix", "dns"])
def test_a_host_may_have_the_name_of_a_scheme(name: str) -> None:
    assert read_endpoint(Reader({E: f"{name}:4317"})).url == f"http://{name}:4317"


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
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zip", "(expected none, gzip); using none"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "deflate", "(expected none, gzip); using none"),
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


class TestProxy:
    @pytest.mark.parametrize(
        ("environ", "url", "protocol", "proxy"),
        [
            ({"grpc_proxy": "http://p:1", "https_proxy": "http://p:2"}, "http://c.example:4317", "grpc", "http://p:1"),
            ({"https_proxy": "http://p:2", "http_proxy": "http://p:3"}, "http://c.example:4317", "grpc", "http://p:2"),
            ({"HTTP_PROXY": "p:3"}, "http://c.example:4317", "grpc", "http://p:3"),
            ({"http_proxy": "http://p:3"}, "http://c.example:4318", "http/protobuf", "http://p:3"),
            ({"https_proxy": "http://p:2"}, "http://c.example:4318", "http/protobuf", None),
            ({"https_proxy": "http://p:2"}, "https://c.example:4318", "http/protobuf", "http://p:2"),
            ({"ALL_PROXY": "http://u:p@p:4"}, "https://c.example:4318", "http/protobuf", "http://u:p@p:4"),
            ({"all_proxy": "http://p:4"}, "http://c.example:4317", "grpc", None),
            ({"http_proxy": "http://[::1]:3128"}, "http://10.1.2.3:4317", "grpc", "http://[::1]:3128"),
        ],
    )
    def test_variables(self, environ: dict[str, str], url: str, protocol: str, proxy: str | None) -> None:
        reader = Reader({**environ, E: url, P: protocol})
        assert read_endpoint(reader).proxy == proxy
        assert reader.problems == []

    @pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.9.10", "[::1]", "otel-collector"])
    def test_what_no_proxy_could_know_is_reached_directly(self, host: str) -> None:
        assert read_endpoint(Reader({"http_proxy": "http://p:3", E: f"http://{host}:4317"})).proxy is None

    @pytest.mark.parametrize(
        ("unproxied", "direct"),
        [
            ("*", True),
            ("10.0.0.0/8", True),
            ("192.168.0.0/16, 10.1.2.3", True),
            ("10.1.2.3", True),
            ("c.example,nonsense/33", False),
            ("11.0.0.0/8", False),
        ],
    )
    def test_no_proxy(self, unproxied: str, direct: bool) -> None:  # noqa: FBT001 (a parameter of the test)
        environ = {"http_proxy": "http://p:3", "no_proxy": unproxied, E: "http://10.1.2.3:4317"}
        assert (read_endpoint(Reader(environ)).proxy is None) is direct

    def test_no_proxy_has_domains(self) -> None:
        environ = {"http_proxy": "http://p:3", "NO_PROXY": ".example", E: "http://c.example:4317"}
        assert read_endpoint(Reader(environ)).proxy is None
        environ = {"http_proxy": "http://p:3", "no_grpc_proxy": "c.example", E: "http://c.example:4317"}
        assert read_endpoint(Reader(environ)).proxy is None

    @pytest.mark.parametrize(
        "value", ["socks5://p:1080", "https://user:secret@p:3128", "user:secret@p:port", "http://", "http://p:99999"]
    )
    def test_one_that_cannot_be_used_is_said_and_left_out(self, value: str) -> None:
        reader = Reader({"http_proxy": value, E: "http://c.example:4317"})
        assert read_endpoint(reader).proxy is None
        (problem,) = reader.problems
        assert "cannot be used (expected http://HOST:PORT" in str(problem)
        assert "secret" not in str(problem)

    def test_it_is_not_shown(self) -> None:
        assert "secret" not in repr(read_endpoint(Reader({"http_proxy": "http://u:secret@p:3", E: "http://c.d:4317"})))


def test_certificates() -> None:
    reader = Reader(
        {
            "OTEL_EXPORTER_OTLP_CERTIFICATE": "/all.pem",
            "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE": "/traces.pem",
            "OTEL_EXPORTER_OTLP_CLIENT_KEY": "/key.pem",
            "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": "/client.pem",
        }
    )
    assert read_endpoint(reader).tls == ("/traces.pem", "/key.pem", "/client.pem")
    assert read_endpoint(Reader({})).tls == (None, None, None)


def test_what_is_shown_of_a_url_holds_no_secret() -> None:
    shown = str(Endpoint("https://user:password@collector:4318/v1/traces?key=SECRET#SECRET", "http/protobuf"))
    assert shown == "https://collector:4318/v1/traces"


@pytest.mark.parametrize(("value", "seconds"), [("3000", 3.0), ("10000", 10.0), ("120.5", 0.1205), ("3600000", 3600.0)])
def test_a_timeout_above_two_minutes_is_in_milliseconds(value: str, seconds: float) -> None:
    """The specification's unit, where upstream's exporters for Python read seconds."""
    settings = read_settings({"OTEL_EXPORTER_OTLP_TIMEOUT": value, "OTEL_TRACEBATON_STRICT": "true"}, [], "/")
    assert settings.endpoint.timeout == seconds
    assert settings.problems == ()
    ((variable, sentence),) = settings.notes
    assert variable == "OTEL_EXPORTER_OTLP_TIMEOUT"
    assert sentence == (
        f"OTEL_EXPORTER_OTLP_TIMEOUT={value} is read as milliseconds, {seconds:g}s: numbers up to 120 are seconds."
    )
    assert dict(settings.changes)["OTEL_EXPORTER_OTLP_TIMEOUT"] == f"{seconds:g}"


def test_a_timeout_of_seconds_stays() -> None:
    settings = read_settings({"OTEL_EXPORTER_OTLP_TIMEOUT": "120"}, [], "/")
    assert (settings.endpoint.timeout, settings.notes, settings.changes) == (120.0, (), ())


def test_the_timeout_of_each_signal_is_judged() -> None:
    names = [f"OTEL_EXPORTER_OTLP_{signal}TIMEOUT" for signal in ("", "LOGS_", "METRICS_", "TRACES_")]
    settings = read_settings(dict.fromkeys(names, "2500"), [], "/")
    assert sorted(variable for variable, _ in settings.notes) == sorted(names)
    assert dict(settings.changes) == dict.fromkeys(names, "2.5")
