"""Headers of OTLP and addresses that HTTP does not allow: said at the start, without their values, and left out."""

from __future__ import annotations

import pytest

from tracebaton_configurator.settings.endpoint import read_endpoint
from tracebaton_configurator.settings.headers import without_wrong_parts
from tracebaton_configurator.settings.problem import Problem
from tracebaton_configurator.settings.reader import Reader

H = "OTEL_EXPORTER_OTLP_HEADERS"
E = "OTEL_EXPORTER_OTLP_ENDPOINT"
P = "OTEL_EXPORTER_OTLP_PROTOCOL"
PROTOCOLS = ("grpc", "http/protobuf")


def read(protocol: str, headers: str, variable: str = H) -> tuple[tuple[tuple[str, str], ...], list[Problem]]:
    reader = Reader({variable: headers, P: protocol})
    return read_endpoint(reader).headers, reader.problems


@pytest.mark.parametrize("variable", [H, "OTEL_EXPORTER_OTLP_TRACES_HEADERS"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("a=hush%0d%0aX-Evil:%201", "has a control character"),
        ("a=hush%0a", "has a control character"),
        ("a=hush%00", "has a control character"),
        ("a=hush%7f", "has a control character"),
        ("a=hu%09sh", "has a control character"),
        ("a=hu\tsh", "has a control character"),
        ("a=hush%c2%85", "has a control character"),
        ("a%0d%0ab=hush", "has a control character"),
        ("a=hush\udcff", "bytes that are no text"),
        ("a=hush%ff", "bytes that are no text"),
        ("te=hush", "has te in part 2"),
        ("TE=hush", "has te in part 2"),
        ("%74e=hush", "has te in part 2"),
        ("connection=hush", "has connection in part 2"),
        ("Transfer-Encoding=hush", "has transfer-encoding in part 2"),
        ("content-length=hush", "has content-length in part 2"),
        ("content-type=hush", "has content-type in part 2"),
        (":path=hush", "has no valid name of a header in part 2"),
        (":authority=hush", "has no valid name of a header in part 2"),
        ("Bearer hush=x", "has no valid name of a header in part 2"),
        ("h\u00fcsh=hush", "has no valid name of a header in part 2"),
        ("=hush", "has a part without a name"),
        ("hush", "has a part without a name"),
    ],
)
def test_a_wrong_header_is_left_out_and_the_others_stay(wrong: str, said: str, protocol: str, variable: str) -> None:
    headers, problems = read(protocol, f"team=a,{wrong},x-key=k%20v", variable)
    assert headers == (("team", "a"), ("x-key", "k v"))
    (problem,) = problems
    assert said in str(problem)
    assert str(problem).startswith(f"{variable}='***' has ")
    assert "is left out." in str(problem)
    assert "hush" not in f"{problem}{problem!r}".lower()


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("text", "headers"),
    [
        ("Authorization=Bearer%20x=y==", (("authorization", "Bearer x=y=="),)),
        ("authorization=Basic dXNlcjpwYXNz", (("authorization", "Basic dXNlcjpwYXNz"),)),
        ("a=%20padded%20", (("a", "padded"),)),
        ("a=caf%C3%A9", (("a", "caf\u00e9"),)),
        ("a=,b=1,,", (("a", ""), ("b", "1"))),
        ("x-bin=AAE,user-agent=mine/1", (("x-bin", "AAE"), ("user-agent", "mine/1"))),
    ],
)
def test_right_ones(text: str, headers: tuple[tuple[str, str], ...], protocol: str) -> None:
    assert read(protocol, text) == (headers, [])


def test_what_only_grpc_keeps_for_itself() -> None:
    assert read("http/protobuf", "host=collector,grpc-timeout=1S")[1] == []
    headers, problems = read("grpc", "host=collector,grpc-timeout=1S")
    assert headers == ()
    assert ["has host" in str(problems[0]), "has grpc-timeout" in str(problems[1])] == [True, True]


def test_what_upstreams_exporters_get_of_it() -> None:
    assert without_wrong_parts("team=a, Bearer hush ,b=%0d%0ax,te=hush,c=d%20e") == "team=a,c=d%20e"


@pytest.mark.parametrize(
    "url",
    [
        "http://c:4318/v1\r\nX-Evil: hush",
        "http://c:4318/v1\nX-Evil",
        "http://c:4318/v1%0d%0aX-Evil:%20hush",
        "http://c:4318/a b",
        "http://c\t:4318",
        "http://user:p%0aw@c:4318",
        "http://c:4318/\u00e4",
        "http://c:4318/?a=\u00e4",
    ],
)
def test_an_address_with_control_characters_is_none(url: str) -> None:
    reader = Reader({E: url})
    assert read_endpoint(reader).url == "http://localhost:4317"
    (problem,) = reader.problems
    assert "using the default endpoint on localhost" in str(problem)
    assert "\n" not in str(problem)
    assert "\r" not in str(problem)


def test_a_password_may_have_what_is_percent_encoded() -> None:
    reader = Reader({E: "http://user:p%20w%2F%40@c:4317"})
    assert (read_endpoint(reader).url, reader.problems) == ("http://user:p%20w%2F%40@c:4317", [])


def test_a_key_in_the_query_is_not_shown() -> None:
    assert "hush" not in str(Problem(E, "htp://c:4318/v1?api_key=hush", "is wrong", "a", "b"))


@pytest.mark.parametrize(
    ("insecure", "url"),
    [("true", "http"), ("TRUE", "http"), ("false", "https"), ("no", "https"), ("0", "https"), ("yes", "https")],
)
def test_a_wrong_insecure_does_not_mean_plaintext(insecure: str, url: str) -> None:
    reader = Reader({E: "collector:4317", "OTEL_EXPORTER_OTLP_INSECURE": insecure})
    assert read_endpoint(reader).url == f"{url}://collector:4317"
