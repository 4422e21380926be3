"""One record, one line, one object; no record is lost."""

from __future__ import annotations

import json
import logging
import sys
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracebaton_configurator.logs.formatter import JsonLines, bounded_repr


class Raising:
    def __repr__(self) -> str:
        raise RuntimeError("no")


def record(message: object = "x", args: tuple[object, ...] = (), **extra: Any) -> logging.LogRecord:
    made = logging.LogRecord("app", logging.INFO, "file.py", 1, message, args, None)
    made.__dict__.update(extra)
    return made


def formatted(made: logging.LogRecord) -> dict[str, Any]:
    line = JsonLines("shop").format(made)
    assert "\n" not in line
    fields: dict[str, Any] = json.loads(line)
    return fields


def test_the_timestamp_is_rfc_3339_in_utc_with_microseconds() -> None:
    made = record()
    stamp = formatted(made)["timestamp"]
    assert len(stamp) == len("2026-11-22T17:28:30.986355Z")
    moment = datetime.fromisoformat(stamp.replace("Z", "+00:00"))
    assert abs(moment - datetime.fromtimestamp(made.created, timezone.utc)) < timedelta(microseconds=2)


def test_the_fields_come_in_the_order_that_a_person_reads() -> None:
    fields = formatted(record(trace_id="t", span_id="s", trace_flags="01", room=1))
    assert list(fields) == [
        "timestamp", "level", "logger", "message", "service.name", "trace_id", "span_id", "trace_flags", "room",
    ]  # fmt: skip


def test_a_traceback_is_a_field() -> None:
    made = record()
    try:
        raise ValueError("broken\nin two")
    except ValueError:
        made.exc_info = sys.exc_info()
    fields = formatted(made)
    assert fields["exc_info"].endswith("ValueError: broken\nin two")


def test_a_stack_is_a_field() -> None:
    assert formatted(record(stack_info="Stack:\n  here"))["stack_info"] == "Stack:\n  here"


def test_a_logged_dict_is_its_fields() -> None:
    fields = formatted(record({"message": "m", "room": 7}))
    assert (fields["message"], fields["room"]) == ("m", 7)


def test_an_extra_cannot_forge_a_field() -> None:
    fields = formatted(record(level="CRITICAL", logger="root", timestamp="never"))
    assert fields["level"] == "INFO"
    assert (fields["extra.level"], fields["extra.logger"], fields["extra.timestamp"]) == ("CRITICAL", "root", "never")


def test_uvicorns_coloured_copy_is_left_out() -> None:
    assert "color_message" not in formatted(record(color_message="\x1b[1mx"))


@pytest.mark.parametrize(
    "extra", [{"k": {(1, 2): 3}}, {"k": [float("inf")]}, {"k": Raising()}, {"k": {"deep": Raising()}}, {"k": object()}]
)
def test_what_json_has_no_form_for_is_its_repr(extra: dict[str, Any]) -> None:
    assert "k" in formatted(record(**extra))


def test_an_object_that_contains_itself() -> None:
    circle: dict[str, Any] = {}
    circle["self"] = circle
    assert formatted(record(k=circle))["k"] == "{'self': {...}}"


def test_a_broken_format_string_prints_what_there_is() -> None:
    fields = formatted(record("%d items", ("many",), trace_id="t"))
    assert fields["message"] == "'%d items' ('many',)"
    assert fields["logging_error"].startswith("TypeError")
    assert fields["trace_id"] == "t"


def test_an_argument_that_raises_prints_what_there_is() -> None:
    assert "RuntimeError" in formatted(record("%s", (Raising(),)))["logging_error"]


def test_reprs_are_bounded() -> None:
    assert len(bounded_repr("x" * 10_000)) < 1100


@given(
    st.text(),
    st.dictionaries(st.text(min_size=1), st.recursive(st.none() | st.floats() | st.text() | st.binary(), st.lists)),
)
def test_any_message_and_any_extras_stay_one_line(message: str, extra: dict[str, Any]) -> None:
    made = record(message.replace("%", "%%") if message else message)
    made.__dict__.update({key: value for key, value in extra.items() if key not in made.__dict__})
    assert isinstance(formatted(made), dict)
