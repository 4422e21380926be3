"""Members put into the text of a JSON object, and taken out of it again: what the sender gave is what arrives."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from tracebaton_configurator.propagation.redis_messages_lists import TakenOutOfLists
from tracebaton_configurator.propagation.redis_messages_text import put_into, take_out

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
HEADERS = {"traceparent": PARENT, "tracestate": 'a=b"\\,c=d', "baggage": "tenant=acme"}
JSON = some.recursive(
    some.none() | some.booleans() | some.floats() | some.integers() | some.text(),
    lambda inner: some.lists(inner) | some.dictionaries(some.text(), inner),
)


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "{ }",
        '{"a":1}',
        ' \r\n\t{\n "a" : 1.50, "a": 2,\t"b":[ ]\n}\n ',
        '{"b":1e400,"a":0.10,"é":"\\u00e9"}',
        '{"tracestate": 1}',
        '{"nested": {"traceparent": "x"}}',
        '{"NaN": NaN}',
    ],
)
@pytest.mark.parametrize("kind", [str, lambda text: text.encode(), lambda text: bytearray(text, "utf-8")])
def test_what_is_taken_out_leaves_what_was_given(text: str, kind: Any) -> None:
    value = kind(text)
    sent = put_into(value, HEADERS)
    assert json.loads(sent)["traceparent"] == PARENT
    found = take_out(sent)
    assert found is not None
    assert found.value == (value if isinstance(value, str) else bytes(value))
    expected = HEADERS if "tracestate" not in text else {key: HEADERS[key] for key in ("traceparent", "baggage")}
    assert found.headers == expected
    assert put_into(sent, HEADERS) == sent


@given(some.dictionaries(some.text(), JSON), some.sampled_from([None, 1, "\t"]), some.booleans())
def test_of_any_object(value: dict[str, Any], indent: Any, plain: bool) -> None:  # noqa: FBT001
    text = json.dumps(value, indent=indent, ensure_ascii=plain)
    try:
        text.encode()
    except UnicodeEncodeError:  # half a surrogate pair is no text that Redis gets
        return
    sent = put_into(text, {"traceparent": PARENT})
    if "traceparent" not in value:
        found = take_out(sent)
        assert found is not None
        assert found.value == text
    else:
        assert sent == text


@pytest.mark.parametrize(
    "value",
    [
        *("", "text", "[1]", '"{}"', "{", "{not json}", '{"a":1} x', "\ufeff{}", "null", '{"a":1}'.encode("utf-16")),
        *(b"\xff{}", b"{\xff}", 5, 5.0, None, True, '{"a":"' + "x" * (1 << 20) + '"}', "[" * 100_000),
        *('{"traceparent":"mine"}', '{"a":1,"traceparent":null}', "{" + '"a":{' * 50_000),
    ],
)
def test_what_is_no_object_is_left_alone(value: Any) -> None:
    assert put_into(value, HEADERS) is value
    assert take_out(value) is None


def test_the_applications_own_is_followed_and_stays() -> None:
    for text in (f'{{"traceparent":"{PARENT}","a":1}}', f'{{"a": 1, "traceparent": "{PARENT}"}}'):
        assert put_into(text, HEADERS) is text
        assert take_out(text) == (text, {"traceparent": PARENT}, b"")
        found = take_out(text.encode())
        assert found is not None
        assert found.value == text.encode()


@pytest.mark.parametrize("text", ['{"baggage" :"mine"}', '{"baggage" :"mine","a":1}', '{"tracestate" :"","b" :1}'])
def test_what_could_not_be_told_from_the_applications_own_is_not_put_in(text: str) -> None:
    sent = put_into(text, {"traceparent": PARENT})
    found = take_out(sent)
    assert (text if found is None else found.value) == text


@pytest.mark.parametrize("size", [8000, 20_000])
def test_what_is_too_long_to_be_taken_out_is_not_put_in(size: int) -> None:
    for character in ("x", '"', "\u00e9"):
        sent = put_into('{"a":1}', {"traceparent": PARENT, "baggage": character * size})
        found = take_out(sent)
        assert found is not None
        assert found.value == '{"a":1}'


@pytest.mark.parametrize("parent", ["nonsense", PARENT.upper(), PARENT[:-1], ""])
def test_an_invalid_one_is_passed_on(parent: str) -> None:
    text = f'{{"traceparent" :"{parent}","a":1}}'
    assert take_out(text) is None


def test_redis_looks_for_a_value_as_it_was_pushed() -> None:
    known = TakenOutOfLists(limit=2)
    sent = put_into('{"job": 1}', HEADERS)
    found = take_out(sent)
    assert found is not None
    for _ in range(2):
        known.remember(found.value, found.members)
    for value in ('{"job": 1}', b'{"job": 1}') * 2:
        assert known.as_pushed(value) == sent.encode()
    for number in range(4):
        known.remember(f"{{{number}}}", b"x")
    assert [known.as_pushed(f"{{{number}}}") for number in range(4)] == ["{0}", "{1}", b"{x2}", b"{x3}"]


def test_of_one_text_the_newest_are_known() -> None:
    """Whatever else was pushed, or read, with that text."""
    known = TakenOutOfLists()
    for number in range(2000):
        known.remember("{}", b"%d" % number)
    ways = known.ways("{}")
    assert ways == [b"{%d}" % number for number in range(1999, 1983, -1)] + [b"{}"]
    assert [known.as_pushed(way) for way in ways] == ways
    known.remember("{}", b"")
    known.remember("{1}", b"")
    assert (known.as_pushed("{}"), known.ways("{1}")) == (b"{}", ["{1}"])
    used: set[object] = set()
    assert [known.as_pushed("{}", used) for _ in range(2)] == [b"{}", b"{1999}"]
