"""What stands under the name of a secret is masked, at any depth, and nothing else is."""

from __future__ import annotations

import json
from collections import namedtuple
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracebaton_configurator.logs.masking import MASK, is_secret, masked, under

SECRETS = [
    "authorization", "Authorization", "proxy-authorization", "HTTP_AUTHORIZATION", "cookie", "Set-Cookie", "cookies",
    "password", "db.password", "PGPASSWORD", "userPassword", "passwd", "pwd", "passphrase", "secret", "clientSecret",
    "client_secret", "AWS_SECRET_ACCESS_KEY", "token", "access_token", "refreshToken", "idToken", "csrf-token", "jwt",
    "api_key", "apiKey", "x-api-key", "APIKEY", "openai_api_key", "private_key", "privateKey", "accessKey",
    "session_id", "sessionid", "credentials", "x-auth-token", "auth",
]  # fmt: skip
HARMLESS = [
    "prompt_tokens", "completion_tokens", "max_tokens", "token_count", "tokenizer", "token_type", "tokens",
    "secretary", "password_policy", "key", "keyboard", "monkey", "author", "authority", "room", "user_id", "x",
    "cookiecutter", "passwordless", "session", "id", "",
]  # fmt: skip


@pytest.mark.parametrize("name", SECRETS)
def test_names_of_secrets(name: str) -> None:
    assert is_secret(name)
    assert is_secret(name.encode())


@pytest.mark.parametrize("name", HARMLESS)
def test_other_names(name: str) -> None:
    assert not is_secret(name)


@dataclass
class Login:
    user: str
    password: str


Pair = namedtuple("Pair", "user password")  # noqa: PYI024 (as applications have them)


@pytest.mark.parametrize(
    "value",
    [
        {"headers": {"Authorization": "hunter2"}},
        [{"a": [{"token": "hunter2"}]}],
        {"headers": [("authorization", "hunter2")]},
        [(b"cookie", b"hunter2")],
        [["x-api-key", "hunter2"]],
        {"password": {"old": "hunter2"}},
        {"password": ["hunter2"]},
        Login("a", "hunter2"),
        [Login("a", "hunter2")],
        Pair("a", "hunter2"),
        {"login": {"inner": Login("a", "hunter2")}},
    ],
)
def test_at_any_depth(value: Any) -> None:
    shown = json.dumps(masked(value), default=repr)
    assert "hunter2" not in shown
    assert MASK in shown


@pytest.mark.parametrize("value", [7, 1.5, True, False, None, "", "***", "[REDACTED]", "<hidden>"])
def test_numbers_booleans_and_what_is_masked_already_stay(value: object) -> None:
    assert under("password", value) == value


def test_what_has_no_secrets_is_the_same_object() -> None:
    for value in ({"a": [1, {"b": ("c", b"d")}]}, [object()], {"prompt_tokens": 7, "usage": {"tokens": 1}}):
        assert masked(value) is value


def test_containers_of_the_applications_own() -> None:
    class Raising(dict[str, str]):
        def items(self) -> Any:
            raise RuntimeError("no")

    assert masked(Raising(password="hunter2")) == MASK  # noqa: S106


def test_what_contains_itself() -> None:
    circle: dict[str, Any] = {"password": "hunter2"}
    circle["self"] = {"up": circle}
    assert masked(circle) == {"password": MASK, "self": {"up": "..."}}


NAMES = st.sampled_from(SECRETS)
HARMLESS_VALUES = st.one_of(st.none(), st.integers(), st.text("abc"), st.booleans())


def around(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.tuples(st.text("klm"), inner).map(lambda pair: {pair[0]: pair[1], "other": 1}),
        st.tuples(HARMLESS_VALUES, inner).map(lambda pair: [pair[0], pair[1], 3]),
        inner.map(lambda one: (one,)),
        st.tuples(NAMES, inner).map(lambda pair: {pair[0]: pair[1]}),
    )


@given(st.recursive(NAMES.map(lambda name: {name: "hunter2"}) | NAMES.map(lambda name: [name, "hunter2"]), around))
def test_no_secret_reaches_the_line(value: Any) -> None:
    assert "hunter2" not in json.dumps(masked(value))


def test_a_deep_one_is_not_looked_at_for_ever() -> None:
    value: Any = {"password": "hunter2"}
    for _ in range(10_000):
        value = [value]
    assert "hunter2" not in repr(masked(value))
