"""`OTEL_TRACEBATON_LOG_EXTRAS`: what is written of extras, and no secret among them."""

from __future__ import annotations

import json
import logging
from collections import OrderedDict, deque, namedtuple
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracebaton_configurator.logs.formatter import JsonLines
from tracebaton_configurator.logs.masking import MASKED, masked, masked_repr
from tracebaton_configurator.logs.secret_names import is_secret_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Log

SECRET = "hunter2"  # noqa: S105
SECRETS = """
    authorization Authorization proxy-authorization HTTP_AUTHORIZATION cookie Set-Cookie cookies password
    userPassword db.password PASSWORD PGPASSWORD password2 new_password_1 passwd pwd passphrase secret client_secret
    clientSecret token access_token accessToken X-Auth-Token csrftoken id_token access_tokens api_key apiKey
    x-api-key X-API-KEY apikey APIKey openaiApiKey OPENAI_API_KEY credential credentials awsCredentials private_key
    privateKey access_key_id aws.secretAccessKey session_id sessionId sessionID session_key Mcp-Session-Id PHPSESSID
    ssh_private_key_pem db_pass
""".split()  # noqa: SIM905 (easier to read)
OTHERS = """
    prompt_tokens max_tokens token_count tokenCount tokenizer tokens total_tokens tokens_per_second token_type
    max_token eos_token next_page_token author authority authenticated keyboard key monkey secretary path passport
    bypass compass pass_rate session public_key sort_key cache_key description user headers
    password_policy cookiecutter passwordless user_id
""".split()  # noqa: SIM905 (easier to read)


@dataclass
class Login:
    user: str
    password: Any


Pair = namedtuple("Pair", "user password")  # noqa: PYI024


@pytest.mark.parametrize("name", SECRETS)
def test_names_of_secrets(name: str) -> None:
    assert is_secret_name(name)
    assert is_secret_name(name.encode())


@pytest.mark.parametrize("name", OTHERS)
def test_names_of_nothing_secret(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"headers": {"Authorization": "Bearer x", "a": "b"}}, {"headers": {"Authorization": MASKED, "a": "b"}}),
        ([{"password": "x"}, ({"token": "x"},)], [{"password": MASKED}, [{"token": MASKED}]]),
        ({"credentials": {"user": "a"}}, {"credentials": MASKED}),
        ({"token": 5, "secret": True, "password": None}, {"token": 5, "secret": True, "password": None}),
        ({"password": "***", "secret": "[REDACTED]"}, {"password": "***", "secret": "[REDACTED]"}),
        ({"password": ""}, {"password": ""}),
        ([("authorization", "Bearer x"), ("a", "b")], [["authorization", MASKED], ("a", "b")]),
        ([[b"authorization", b"x"]], [[b"authorization", MASKED]]),
        (("api_key", "x"), ["api_key", MASKED]),
        (["password", "x"], ["password", MASKED]),
        ({b"cookie": b"x"}, {b"cookie": MASKED}),
        (Pair("u", "x"), ["u", MASKED]),
        ([{"name": "DB_PASSWORD", "value": "x"}], [{"name": "DB_PASSWORD", "value": MASKED}]),
        (OrderedDict({"token": "x"}), {"token": MASKED}),
    ],
)  # fmt: skip
def test_values(value: Any, shown: Any) -> None:
    assert masked(value) == shown


@pytest.mark.parametrize(
    "value",
    [
        Login("u", SECRET),
        Login("u", Login("a", SECRET)),
        Login("u", {"x": [SECRET, 1]}),
        deque([("password", SECRET)]),
        {("authorization", SECRET)},
        {(b"authorization", SECRET.encode())},
        deque([{"password": f"a \"quoted\" '{SECRET}'"}]),
        ValueError(f"password={SECRET}"),
        f"GET / HTTP/1.1\r\nAuthorization: Bearer {SECRET}\r\n".encode(),
    ],
)
def test_the_repr_of_what_json_has_no_form_for(value: object) -> None:
    assert SECRET not in masked_repr(value)
    assert MASKED in masked_repr(value)
    made = logging.makeLogRecord({"msg": "x", "value": value, "deep": [{"value": value}]})
    assert SECRET not in JsonLines("shop").format(made)


def test_headers_of_starlette_and_httpx() -> None:
    import httpx
    from starlette.datastructures import URL, Headers, QueryParams

    for value in (
        Headers({"authorization": SECRET}),
        Headers(raw=[(b"cookie", SECRET.encode()), (b"a", b"1"), (b"a", b"2")]),
        httpx.Headers({"x-api-key": SECRET}),
        QueryParams(f"token={SECRET}"),
        URL(f"http://a/?api_key={SECRET}"),
    ):
        line = JsonLines("shop").format(logging.makeLogRecord({"msg": "x", "value": value}))
        assert SECRET not in line


def test_text_and_containers_that_hide_themselves() -> None:
    class Card(str):
        __slots__ = ()

        def __repr__(self) -> str:
            return "***"

    class Cards(list[str]):
        def __repr__(self) -> str:
            return "***"

    made = logging.makeLogRecord({"msg": "x", "card": Card(SECRET), "cards": Cards([SECRET]), "deep": [Card(SECRET)]})
    fields = json.loads(JsonLines("shop").format(made))
    assert (fields["card"], fields["cards"], fields["deep"]) == ("***", "***", ["***"])


def test_depth_and_size_are_bounded() -> None:
    deep: Any = {"password": SECRET}
    for _ in range(5000):
        deep = [deep]
    circle: dict[str, Any] = {"password": SECRET}
    circle["self"] = circle
    many = [{"password": SECRET} for _ in range(50_000)]
    for value in (deep, circle, many, {"value": many}):
        line = JsonLines("shop").format(logging.makeLogRecord({"msg": "x", "value": value}))
        assert SECRET not in line
        assert len(line) < 1_000_000


class TestSetting:
    def logged(self, log: Log, install: Callable[..., None], setting: Any) -> dict[str, Any]:
        install("json", setting)
        log.handler(logging.Formatter("%(message)s"))
        log.logger.info("x", extra={"password": SECRET, "user": {"name": "u", "token": SECRET}, "room": 7})
        return log.objects[0]

    def test_masked_is_the_default(self, log: Log, install: Callable[..., None]) -> None:
        line = self.logged(log, install, "masked")
        assert (line["password"], line["user"], line["room"]) == (MASKED, {"name": "u", "token": MASKED}, 7)

    def test_all(self, log: Log, install: Callable[..., None]) -> None:
        line = self.logged(log, install, "all")
        assert (line["password"], line["user"], line["room"]) == (SECRET, {"name": "u", "token": SECRET}, 7)

    def test_none(self, log: Log, install: Callable[..., None]) -> None:
        line = self.logged(log, install, "none")
        assert not {"password", "user", "room"} & line.keys()

    def test_names(self, log: Log, install: Callable[..., None]) -> None:
        line = self.logged(log, install, frozenset(("user", "password")))
        assert (line["password"], line["user"], "room" in line) == (SECRET, {"name": "u", "token": MASKED}, False)

    @pytest.mark.parametrize(("setting", "shown"), [("masked", MASKED), ("none", MASKED), ("all", SECRET)])
    def test_a_dict_that_is_logged_is_masked_and_never_left_out(
        self, log: Log, install: Callable[..., None], setting: str, shown: str
    ) -> None:
        install("json", setting)
        log.handler(logging.Formatter("%(levelname)s %(message)s"))
        log.logger.info({"message": "m", "password": SECRET, "room": 7})
        (line,) = log.objects
        assert (line["message"], line["password"], line["room"]) == ("m", shown, 7)

    def test_what_the_application_writes_as_json_stays_as_it_is(self, log: Log, install: Callable[..., None]) -> None:
        install("json")
        log.handler(logging.Formatter("%(message)s"))
        log.logger.info(json.dumps({"password": SECRET}))
        assert log.objects == [{"password": SECRET}]


class TestLibraries:
    @pytest.mark.parametrize("renderer", ["KeyValueRenderer", "LogfmtRenderer"])
    def test_what_a_renderer_of_structlog_shows_stays(
        self, log: Log, install: Callable[..., None], renderer: str
    ) -> None:
        structlog = pytest.importorskip("structlog")
        install("json", "none")
        chain = [getattr(structlog.processors, renderer)()]
        logger = structlog.wrap_logger(structlog.PrintLogger(log.stream), processors=chain)
        logger.info("x", token="t", name="n", room=7)  # noqa: S106
        (line,) = log.objects
        assert (line["token"], line["name"], line["room"]) == ("t", "n", 7)

    @pytest.mark.parametrize("setting", ["masked", "none"])
    def test_loguru(self, log: Log, install: Callable[..., None], setting: str) -> None:
        logger = pytest.importorskip("loguru").logger
        install("json", setting)
        sink = logger.add(log.stream, format="{message}")
        logger.bind(headers=[("authorization", SECRET)]).info("x")
        logger.remove(sink)
        expected = {"masked": [["authorization", MASKED]], "none": None}
        assert log.objects[0].get("headers") == expected[setting]

    @pytest.mark.parametrize(
        "text",
        [
            "{extra[safe]}",
            "{level} {message:.3}",
            lambda record: "{level} " + record["message"].replace(SECRET, "***") + "\n",
            lambda record: "{message:.3} card=" + "*" * len(record["extra"]["card"]) + "\n",
        ],
    )
    @pytest.mark.parametrize("through_logging", [False, True])
    def test_what_a_format_of_loguru_hides(
        self, log: Log, install: Callable[..., None], text: Any, *, through_logging: bool
    ) -> None:
        logger = pytest.importorskip("loguru").logger
        install("json")
        sink = logger.add(logging.StreamHandler(log.stream) if through_logging else log.stream, format=text)
        logger.bind(card=SECRET, safe="***").info("pw {}", SECRET)
        logger.remove(sink)
        assert SECRET not in log.lines[0]

    def test_extras_that_a_function_of_loguru_has_looked_at(self, log: Log, install: Callable[..., None]) -> None:
        logger = pytest.importorskip("loguru").logger
        install("json")
        for make in (
            lambda record: "{message} " + record["extra"]["card"].replace(SECRET, "***") + "\n",
            lambda record: "{message} " + {**record}["extra"]["card"].replace(SECRET, "***") + "\n",
            lambda record: "{message} " + dict(record.items())["extra"]["card"].replace(SECRET, "***") + "\n",
        ):
            sink = logger.add(log.stream, format=make)
            logger.bind(card=SECRET).info("x")
            logger.remove(sink)
            assert (log.objects[-1]["message"], "card" in log.objects[-1]) == ("x ***", False)


names = st.sampled_from(SECRETS)
harmless = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.binary(max_size=5)
secrets = (
    st.just(SECRET) | st.just(SECRET.encode()) | st.just([SECRET]) | st.just({"x": (1, SECRET)}) | st.just({SECRET})
)


def around(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    other = st.sampled_from([*OTHERS, "value", "name"])
    return (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner, inner)
        | st.dictionaries(other | st.integers() | other.map(str.encode), inner, max_size=3)
        | st.builds(lambda a: deque([a]), inner)
        | st.builds(lambda a: Login("u", a), inner)
        | st.builds(lambda a: Pair(a, a), inner)
    )


with_secrets = st.recursive(
    harmless
    | st.builds(lambda name, secret: {name: secret}, names | names.map(str.encode), secrets)
    | st.builds(lambda name, secret: [(name, secret), ("a", "b")], names, secrets)
    | st.builds(lambda name, secret: [[name.encode(), secret]], names, secrets)
    | st.builds(lambda name, secret: {"name": name, "value": secret}, names, secrets)
    | st.builds(lambda secret: Login("u", secret), secrets)
    | st.builds(lambda secret: Pair("u", secret), secrets),
    around,
    max_leaves=8,
)


@given(with_secrets, names, secrets)
def test_no_secret_under_the_name_of_one_reaches_the_line(value: Any, name: str, secret: Any) -> None:
    lines = JsonLines("shop")
    for fields in ({"value": value}, {name: secret}, {"value": value, name: secret, "created": "broken"}):
        made = logging.makeLogRecord({"msg": "x", **fields})
        assert SECRET not in lines.format(made)
        assert SECRET not in lines.format(logging.makeLogRecord({"msg": fields}))
    made = logging.makeLogRecord({"msg": "%d", "args": ({"value": value},)})
    assert SECRET not in lines.format_broken(made, KeyError("x"))
