"""One record, one line, one object; no record is lost."""

from __future__ import annotations

import json
import logging
import re
import sys
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracebaton_configurator.logs.formatter import JsonLines
from tracebaton_configurator.logs.values import bounded_repr

# What a terminal obeys, and what reverses or hides text.
CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


class Raising:
    def __repr__(self) -> str:
        raise RuntimeError("no")


def record(message: object = "x", args: tuple[object, ...] = (), **extra: Any) -> logging.LogRecord:
    made = logging.LogRecord("app", logging.INFO, "file.py", 1, message, args, None)
    made.__dict__.update(extra)
    return made


def refused(constant: str) -> None:
    pytest.fail(f"strict parsers refuse {constant}")


def formatted(made: logging.LogRecord) -> dict[str, Any]:
    line = JsonLines("shop").format(made)
    assert line.encode().decode() == line
    assert len(line.splitlines()) == 1
    assert not CONTROLS.search(line)
    fields: dict[str, Any] = json.loads(line, parse_constant=refused)
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
        "timestamp", "level", "logger", "trace_id", "span_id", "trace_flags", "message", "service.name", "room",
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
    assert formatted(record(k=circle))["k"] == {"self": "{'self': {...}}"}


def test_a_broken_format_string_prints_what_there_is() -> None:
    fields = formatted(record("%d items", ("many",), trace_id="t"))
    assert fields["message"] == "'%d items' ('many',)"
    assert fields["logging_error"].startswith("TypeError")
    assert fields["trace_id"] == "t"


def test_an_argument_that_raises_prints_what_there_is() -> None:
    assert "RuntimeError" in formatted(record("%s", (Raising(),)))["logging_error"]


def test_reprs_are_bounded() -> None:
    assert len(bounded_repr("x" * 10_000)) < 1100


def test_what_a_dict_says_about_ids_is_kept() -> None:
    fields = formatted(record({"message": "m", "trace_id": "mine"}, trace_id="t", span_id="s", trace_flags="01"))
    assert (fields["trace_id"], "span_id" in fields) == ("mine", False)


def test_a_logged_dict_is_not_written_to() -> None:
    logged = {"message": "m"}
    made = record(logged)
    try:
        raise ValueError("broken")
    except ValueError:
        made.exc_info = sys.exc_info()
    assert "ValueError: broken" in formatted(made)["exc_info"]
    assert logged == {"message": "m"}


def test_the_rest_of_a_record_that_is_broken_is_printed() -> None:
    fields = formatted(record("%d items", ("many",), room=7))
    assert (fields["level"], fields["room"]) == ("INFO", 7)


@pytest.mark.parametrize("change", [{"created": "now"}, {"created": 1e300}, {"levelname": {}}, {"name": None}])
def test_a_record_that_is_none_is_printed_with_its_parts(change: dict[str, Any]) -> None:
    assert "words" in json.dumps(formatted(record("words", **change)))


@pytest.mark.parametrize("created", [0.0, 1.0, 1e9 + 0.9999999, 1e9 + 0.0000005, 1763837790.1234565, -1.5, 1])
def test_moments_are_rounded_as_datetime_does(created: float) -> None:
    expected = datetime.fromtimestamp(created, timezone.utc).isoformat(timespec="microseconds")
    assert formatted(record(created=created))["timestamp"] == expected.replace("+00:00", "Z")


def test_half_a_surrogate_pair_is_shown_and_a_whole_one_stays() -> None:
    fields = formatted(record("a\udc80b \U0001f600 \\ud800", **{"na\ud800me": ["\udfff"]}))
    assert fields["message"] == "a\\udc80b \U0001f600 \\ud800"
    assert fields["na\\ud800me"] == ["\\udfff"]


def test_text_is_written_as_it_is() -> None:
    text = "\u8ba2\u5355 \U0001f600 \ud83d\ude00 \x85\x9b\u2028\u202e"
    for message in (text, {"message": text}):
        line = JsonLines("shop").format(record(message, who=[text], **{text: text}))
        assert "\u8ba2\u5355 \U0001f600 \U0001f600 \\u0085\\u009b\\u2028\\u202e" in line
        assert json.loads(line)["message"] == text.replace("\ud83d\ude00", "\U0001f600")


def test_names_of_loggers_are_remembered_within_bounds() -> None:
    lines = JsonLines("shop")
    for number in range(3000):
        made = record()
        made.name = f"logger {number}"
        assert json.loads(lines.format(made))["logger"] == made.name
    assert len(lines._heads) <= 1000


def test_the_words_of_a_filter_or_formatter_about_an_exception_are_kept() -> None:
    for message in ("m", {"message": "m"}):
        made = record(message)
        made.exc_info, made.exc_text = (ValueError, ValueError("hunter2"), None), "ValueError: ***"
        assert formatted(made)["exc_info"] == "ValueError: ***"


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.text(st.characters(categories=["Cs", "Cc", "Zl", "Zp"]))
    | st.binary()
    | st.decimals()
    | st.uuids()
    | st.datetimes()
    | st.builds(Raising)
    | st.builds(lambda: {(1,): Raising()})
    | st.builds(lambda: 10**5000)
    | st.sampled_from([{1: 2}, object, ValueError("x")]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3) | st.tuples(inner),
    max_leaves=10,
)
extras = st.dictionaries(
    st.text(min_size=1) | st.sampled_from(["level", "timestamp", "extra.level", "_private", "color_message", "room"]),
    anything,
    max_size=4,
)


@given(anything, st.just(()) | st.tuples(anything), extras)
def test_anything_stays_one_line(message: object, args: tuple[object, ...], extra: dict[str, Any]) -> None:
    made = record(message, args)
    made.__dict__.update({key: value for key, value in extra.items() if key not in made.__dict__})
    assert isinstance(formatted(made), dict)


@given(
    st.text(),
    extras,
    st.sampled_from([{}, {"trace_id": "t", "span_id": "s", "trace_flags": "01"}, {"trace_id": "mine"}]),
    st.floats(min_value=-10, max_value=4e9),
    st.sampled_from([None, (ValueError, ValueError("broken"), None)]),
    st.sampled_from([None, "Stack:\n  here"]),
)
def test_the_short_way_writes_what_the_long_one_does(
    message: str, extra: dict[str, Any], ids: dict[str, str], created: float, exc_info: Any, stack: str | None
) -> None:
    made = record(message, created=created, exc_info=exc_info, stack_info=stack)
    made.__dict__.update({key: value for key, value in extra.items() if key not in made.__dict__})
    made.__dict__.update(ids)
    lines = JsonLines("shop")
    quick = lines._quick(made)
    assert quick in (None, lines._whole(made))


def test_usual_records_take_the_short_way() -> None:
    lines = JsonLines("shop")
    for extra in (
        {},
        {"room": 7, "paid": True, "by": None, "total": 1.5},
        {"order": {"items": ["a"]}},
        {"o": object()},
    ):
        assert lines._quick(record("order %d", (1,), **extra)) is not None
