"""What a Redis span says of its connection is what upstream says, though it is worked out once for each server."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import opentelemetry.instrumentation.redis as upstream
import pytest
from opentelemetry.instrumentation._semconv import _StabilityMode
from opentelemetry.instrumentation.redis.util import _format_command_args, _set_connection_attributes
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import INVALID_SPAN, Span

from tracebaton_configurator.patching import registry
from tracebaton_configurator.propagation import upstream_redis
from tracebaton_configurator.propagation.upstream_redis import _set_remembered_attributes

OPTIONS: list[Any] = [
    {},
    {"host": "redis", "port": 6380, "db": 3},
    {"host": "redis", "port": 6380, "db": None},
    {"host": None, "port": None},
    {"path": "/run/redis.sock", "db": 1},
    {"path": None},
    {"host": "redis", "port": 6380, "db": "3"},
    {"host": ["no", "name"]},
]
MODES = [_StabilityMode.DEFAULT, _StabilityMode.DATABASE, _StabilityMode.DATABASE_DUP, _StabilityMode.HTTP]


def said(set_attributes: Any, client: Any, *modes: Any) -> list[tuple[str, Any]]:
    span: Any = TracerProvider(shutdown_on_exit=False).get_tracer("test").start_span("GET")
    set_attributes(span, client, *modes)
    return list(span.attributes.items())


@pytest.mark.parametrize("options", OPTIONS, ids=repr)
def test_it_is_what_upstream_says(options: Any) -> None:
    client = SimpleNamespace(connection_pool=SimpleNamespace(connection_kwargs=options))
    for db in MODES:
        for http in MODES:
            expected = said(_set_connection_attributes, client, db, http)
            for _ in range(2):
                assert said(_set_remembered_attributes, client, db, http) == expected


@pytest.mark.parametrize("client", [SimpleNamespace(), SimpleNamespace(connection_pool=None)])
def test_of_a_client_without_options_upstream_decides(client: Any) -> None:
    """Its older releases raise for one without a pool."""

    def tried(set_attributes: Any) -> Any:
        try:
            return said(set_attributes, client, *MODES[:2])
        except AttributeError as error:
            return str(error)

    assert tried(_set_remembered_attributes) == tried(_set_connection_attributes)


def test_options_that_change_are_seen() -> None:
    options = {"host": "one"}
    client = SimpleNamespace(connection_pool=SimpleNamespace(connection_kwargs=options))
    before = dict(said(_set_remembered_attributes, client, *MODES[:2]))
    options["host"] = "two"
    assert dict(said(_set_remembered_attributes, client, *MODES[:2])) != before


def test_a_span_that_is_not_recorded_gets_nothing() -> None:
    client = SimpleNamespace(connection_pool=SimpleNamespace(connection_kwargs={}))

    class Strict(type(INVALID_SPAN)):  # type: ignore[misc]
        def set_attributes(self, attributes: Any) -> None:
            raise AssertionError(attributes)

    span: Span = Strict(INVALID_SPAN.get_span_context())
    _set_remembered_attributes(span, client, *MODES[:2])


def test_any_number_of_servers_is_remembered_within_bounds() -> None:
    for number in range(1000):
        client = SimpleNamespace(connection_pool=SimpleNamespace(connection_kwargs={"port": number}))
        said(_set_remembered_attributes, client, *MODES[:2])
    assert 0 < len(upstream_redis._known) <= 256


def test_it_is_worked_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    client = SimpleNamespace(connection_pool=SimpleNamespace(connection_kwargs={"host": "once"}))
    first = said(_set_remembered_attributes, client, *MODES[:2])
    monkeypatch.setattr(upstream_redis, "_extract_conn_attributes", None)
    assert said(_set_remembered_attributes, client, *MODES[:2]) == first != []


def test_the_patch_fits(patched: None) -> None:
    assert upstream._set_connection_attributes is _set_remembered_attributes


@pytest.fixture
def patched(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_set_connection_attributes", "_format_command_args"):
        monkeypatch.setattr(upstream, name, getattr(upstream, name))  # put back afterwards
    assert registry.apply("redis-attributes", upstream_redis.remember)


class Odd:
    def __str__(self) -> str:
        return "ODD"


@pytest.mark.parametrize(
    "args",
    [
        (),
        ("PING",),
        ("SET", "key", "value"),
        ["SET", "key", "value"],
        ("GET", None),
        (b"GET", "key"),
        (Odd(), 1),
        ("MSET", *["a"] * 3000),
        ("x" * 2000, "key"),
        (["no", "name"], "key"),
    ],
    ids=lambda args: f"{len(args)}, {type(args[0]).__name__ if args else ''}",
)
def test_a_statement_is_what_upstream_says(patched: None, args: Any) -> None:
    for _ in range(2):
        assert upstream._format_command_args(args) == _format_command_args(args)


def test_a_statement_is_put_together_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(upstream, "_set_connection_attributes", _set_connection_attributes)
    monkeypatch.setattr(upstream, "_format_command_args", lambda args: asked.append(args) or _format_command_args(args))
    assert registry.apply("redis-attributes", upstream_redis.remember)
    for value in ("secret", "other", "third"):
        assert upstream._format_command_args(("SETEX", "key", value)) == "SETEX ? ?"
    assert asked[2:] == [("SETEX", "", "")], "without a value, which would be held"


def test_statements_with_values_are_left_to_upstream(monkeypatch: pytest.MonkeyPatch) -> None:
    def joined(args: Any) -> str:
        return " ".join(map(str, args))

    monkeypatch.setattr(upstream, "_set_connection_attributes", _set_connection_attributes)
    monkeypatch.setattr(upstream, "_format_command_args", joined)
    assert not registry.apply("redis-attributes", upstream_redis.remember)
    assert upstream._format_command_args is joined
    assert upstream._set_connection_attributes is _set_connection_attributes
