"""An object of the application's own keeps its shape and gains the ids that it lacks."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracebaton_configurator.logs.objects import as_object, object_with_ids, with_ids

IDS = {"trace_id": "0af7651916cd43dd8448eb211c80319c", "span_id": "b7ad6b7169203331", "trace_flags": "01"}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
NAMES = st.text().filter(lambda name: name not in IDS)


def record(**fields: Any) -> logging.LogRecord:
    return logging.makeLogRecord(fields)


NO_OBJECTS = ["", "text", "[1]", "{", "{}}", "{} {}", '{"a": 1} and more', "{a}", '{"a": "b\nc"}', '{"a":' * 10_000]


@pytest.mark.parametrize("text", NO_OBJECTS, ids=lambda text: text[:20])
def test_what_is_no_object_is_none(text: str) -> None:
    assert object_with_ids(text, record(**IDS), one_line=True) is None
    assert as_object(text) is None


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('{"a": 1}', '{"a": 1, "trace_id": "t"}'),
        ('{"a":1}', '{"a":1, "trace_id": "t"}'),
        ("{}", '{"trace_id": "t"}'),
        ('{"a": 1}  \n', '{"a": 1, "trace_id": "t"}'),
        ('{"a": {"trace_id": "x"}}', '{"a": {"trace_id": "x"}, "trace_id": "t"}'),
        ('{"m": "\\"trace_id\\": \\"t\\""}', '{"m": "\\"trace_id\\": \\"t\\"", "trace_id": "t"}'),
    ],
)
def test_ids_are_written_behind_the_rest(text: str, line: str) -> None:
    assert object_with_ids(text, record(trace_id="t"), one_line=True) == line


def test_without_ids_the_text_stays() -> None:
    assert object_with_ids('{"a": 1} ', record(), one_line=True) == '{"a": 1} '


def test_ids_come_as_one_set() -> None:
    assert object_with_ids('{"trace_id": "mine"}', record(**IDS), one_line=True) == '{"trace_id": "mine"}'
    half = json.dumps({"trace_id": IDS["trace_id"]})
    assert json.loads(object_with_ids(half, record(**IDS), one_line=True) or "") == IDS


@pytest.mark.parametrize("nothing", ["null", '""'])
def test_an_empty_id_is_filled_in_where_it_is(nothing: str) -> None:
    line = object_with_ids(f'{{"trace_id": {nothing}, "m": "x"}}', record(**IDS), one_line=True)
    assert list(json.loads(line or "").items())[:2] == [("trace_id", IDS["trace_id"]), ("m", "x")]


def test_what_is_no_json_is_no_object_though_it_ends_with_the_ids() -> None:
    assert object_with_ids('{"m": "say "hi"", ' + json.dumps(IDS)[1:], record(**IDS), one_line=True) is None


def test_what_ends_with_the_ids_is_left_as_it_is() -> None:
    text = json.dumps({"m": "x", **IDS})
    assert object_with_ids(text, record(**IDS), one_line=True) is text


def test_the_ids_of_an_inner_object_are_not_those_of_the_line() -> None:
    text = json.dumps({"inner": IDS})
    assert json.loads(object_with_ids(text, record(**IDS), one_line=True) or "") == {"inner": IDS, **IDS}


def test_a_text_below_is_a_traceback_only_where_there_is_one() -> None:
    text = '{"a": 1}\nTraceback'
    assert object_with_ids(text, record(), one_line=True) is None
    assert object_with_ids(text, record(exc_text="Traceback"), one_line=True) == '{"a": 1, "exc_info": "Traceback"}'
    assert object_with_ids(text, record(exc_text="Traceback"), one_line=False) == text


@pytest.mark.parametrize("one_line", [True, False], ids=["json", "inject"])
@given(
    fields=st.dictionaries(NAMES, VALUES, max_size=4),
    layout=st.fixed_dictionaries({"indent": st.sampled_from([None, 2])}),
)
def test_any_object_gains_what_it_lacks_and_loses_nothing(
    one_line: Any, fields: dict[str, Any], layout: dict[str, Any]
) -> None:
    text = json.dumps(fields, **layout)
    line = object_with_ids(text, record(**IDS), one_line=one_line)
    assert line is not None
    assert json.loads(line) == {**IDS, **fields}
    assert not one_line or "\n" not in line
    assert with_ids(text, fields, record(**IDS), one_line=one_line) == line
