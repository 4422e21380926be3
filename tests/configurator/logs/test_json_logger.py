"""python-json-logger's lines: what stands in them is what stands there where its text is read again."""

from __future__ import annotations

import io
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonEncoder, JsonFormatter

from tracebaton_configurator.logs import field_names, hook, named_ids, upstream_json_logger
from tracebaton_configurator.logs.formatter import JsonLines
from tracebaton_configurator.logs.objects import object_with_ids

if TYPE_CHECKING:
    from collections.abc import Callable

IDS = {"trace_id": "0af7651916cd43dd8448eb211c80319c", "span_id": "b7ad6b7169203331", "trace_flags": "01"}
OTHERS = {"trace_id": "1" * 32, "span_id": "2" * 16, "trace_flags": "00"}
FORMATS = ["%(levelname)s %(message)s", "%(message)s", "%(asctime)s %(order)s", "%(message)s %(trace_id)s", ""]


def record_of(msg: Any = "order %s", args: Any = (1,), **extra: Any) -> logging.LogRecord:
    return logging.makeLogRecord(
        {"name": "shop", "levelno": 20, "levelname": "INFO", "msg": msg, "args": args, **extra}
    )


def as_read(formatter: logging.Formatter, record: logging.LogRecord) -> str | None:
    """What is written where nothing is known of the formatter."""
    return object_with_ids(formatter.format(record), record, one_line=True)


values = st.none() | st.integers() | st.text() | st.dictionaries(st.sampled_from(["a", "trace_id"]), st.text())
names = st.sampled_from([*IDS, "order", "message", "timestamp", "levelname", "traceId"])
formatters = st.builds(
    JsonFormatter,
    st.sampled_from(FORMATS),
    rename_fields=st.dictionaries(names, names, max_size=2),
    static_fields=st.dictionaries(names, values, max_size=2),
    defaults=st.dictionaries(names, values, max_size=2),
    reserved_attrs=st.sampled_from([RESERVED_ATTRS, [*RESERVED_ATTRS, "trace_id", "order"]]),
    timestamp=st.sampled_from([False, True, "at", "trace_id"]),
    prefix=st.sampled_from(["", "", "", "app "]),
    json_indent=st.sampled_from([None, None, 2]),
    json_ensure_ascii=st.booleans(),
    rename_fields_keep_missing=st.booleans(),
)
records = st.builds(
    lambda ids, msg, extra: record_of(msg, (), **{**ids, **extra}),
    st.sampled_from([IDS, OTHERS, {}, {"trace_id": "-"}, {**IDS, "span_id": 5}, {"span_id": "2" * 16}]),
    st.text() | st.dictionaries(names, values),
    st.dictionaries(st.sampled_from(["order", "a b", *IDS]), values, max_size=3),
)


@given(formatters, st.lists(records, min_size=1, max_size=4))
def test_it_is_as_if_the_line_were_read(formatter: JsonFormatter, several: list[logging.LogRecord]) -> None:
    for record in several:
        line = upstream_json_logger.line_of(formatter, record)
        if line is not None:
            read = as_read(formatter, record)
            assert read is not None
            assert "\n" not in line
            assert json.loads(line) == json.loads(read)
            # No name twice.
            assert len(json.loads(line, object_pairs_hook=list)) == len(json.loads(line))


@pytest.mark.parametrize("ids", [IDS, {}])
@pytest.mark.parametrize("msg", ["order", "{a}", 'say "trace_id"', {"order": 1}])
def test_usual_formatters_are_known(ids: dict[str, str], msg: Any) -> None:
    for formatter in (
        JsonFormatter("%(levelname)s %(message)s", rename_fields={"levelname": "level"}, timestamp=True),
        JsonFormatter(["message", "levelname"], static_fields={"app": "shop"}),
        JsonFormatter("%(message)s", json_default=str, json_ensure_ascii=False),
    ):
        line = upstream_json_logger.line_of(formatter, record_of(msg, (), **ids, customer="somebody"))
        assert line is not None
        assert list(json.loads(line))[-len(ids) :] == list(ids or json.loads(line))
        assert json.loads(line)["customer"] == "somebody"


def test_the_formatter_and_the_record_stay_as_they_are() -> None:
    formatter, record = JsonFormatter("%(message)s"), record_of(**IDS)
    had, fields = dict(formatter.__dict__), set(record.__dict__)
    skipped = set(formatter._skip_fields)
    assert upstream_json_logger.line_of(formatter, record) is not None
    assert formatter.__dict__ == had
    assert formatter._skip_fields == skipped
    assert set(record.__dict__) - fields <= {"message"}
    assert json.loads(formatter.format(record))["trace_id"] == IDS["trace_id"]


class Own(JsonFormatter):
    pass


class OwnEncoder(JsonEncoder):
    def encode(self, o: Any) -> str:
        return "{hidden}"


@pytest.mark.parametrize(
    "make",
    [
        lambda: Own("%(message)s"),
        lambda: JsonFormatter("%(message)s", json_encoder=OwnEncoder),
        lambda: JsonFormatter("%(message)s", json_serializer=lambda *_, **__: "no object"),
        lambda: JsonFormatter("%(message)s", json_indent=1),
        lambda: JsonFormatter("%(message)s", prefix="app: "),
        lambda: JsonFormatter("%(message)s %(span_id)s"),
        lambda: JsonFormatter("%(message)s %(otelTraceID)s"),
        lambda: JsonFormatter("%(message)s", rename_fields={"trace_id": "trace"}),
        lambda: JsonFormatter("%(message)s", rename_fields={"order": "trace_id"}),
        lambda: JsonFormatter("%(message)s", static_fields={"span_id": 1}),
        lambda: logging.Formatter("%(message)s"),
        lambda: None,
    ],
)
def test_others_are_left_to_their_text(make: Callable[[], Any]) -> None:
    assert upstream_json_logger.line_of(make(), record_of(**IDS)) is None


def test_what_changes_later_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    formatter, record = JsonFormatter("%(message)s"), record_of(**IDS)
    assert upstream_json_logger.line_of(formatter, record) is not None
    formatter.static_fields = {"app": "shop"}
    assert '"app": "shop"' in str(upstream_json_logger.line_of(formatter, record))
    formatter.format = lambda _: "{}"  # type: ignore[method-assign]
    assert upstream_json_logger.line_of(formatter, record) is None
    del formatter.format
    assert upstream_json_logger.line_of(formatter, record) is not None
    monkeypatch.setattr(JsonFormatter, "process_log_record", lambda _, log_data: {"all": len(log_data)})
    assert upstream_json_logger.line_of(formatter, record) is None


def test_other_names_for_ids_are_left_to_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(field_names, "current", field_names.FieldNames("datadog", ()))
    assert upstream_json_logger.line_of(JsonFormatter("%(message)s"), record_of(**IDS)) is None


def test_what_cannot_be_formatted_is_left_to_who_says_so() -> None:
    assert upstream_json_logger.line_of(JsonFormatter("%(message)s"), record_of("%d", ("x",), **IDS)) is None


def test_formatters_that_are_known_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream_json_logger, "_without_ids", {})
    kept = [JsonFormatter("%(message)s", static_fields={"app": number}) for number in range(600)]
    for number, formatter in enumerate(kept):
        assert f'"app": {number},' in str(upstream_json_logger.line_of(formatter, record_of(**IDS)))
    assert 0 < len(upstream_json_logger._without_ids) <= 256


def test_another_formatter_at_the_same_address(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = JsonFormatter("%(message)s", static_fields={"a": 1}), JsonFormatter("%(message)s")
    assert upstream_json_logger.line_of(one, record_of(**IDS)) is not None
    monkeypatch.setitem(upstream_json_logger._without_ids, id(other), upstream_json_logger._without_ids[id(one)])
    assert '"a"' not in str(upstream_json_logger.line_of(other, record_of(**IDS)))


@pytest.mark.parametrize("mode", ["json", "inject"])
def test_a_handlers_line_is_not_read(monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    read: list[str] = []
    monkeypatch.setattr(hook, "object_with_ids", lambda text, *_, **__: read.append(text))
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(JsonFormatter("%(message)s"))
    undo = hook.install(mode, "shop")
    try:
        if mode == "json":
            line = hook.line_of_handler(handler, record_of(**IDS), JsonLines("shop", "masked"))
        else:
            line = handler.format(record_of(**IDS))
    finally:
        undo()
    assert json.loads(line) == {"message": "order 1", **IDS}
    assert read == []


def test_what_is_left_to_the_text_has_not_been_made_a_text_before() -> None:
    class Counting:
        times = 0

        def __str__(self) -> str:
            self.times += 1
            return "counted"

    odd = Counting()
    record = record_of("%s", (odd,), **{**IDS, "span_id": "no id"})
    assert upstream_json_logger.line_of(JsonFormatter("%(message)s"), record) is None
    assert odd.times == 0


def test_formats_without_ids_are_known_by_the_first_line() -> None:
    named_ids.without.discard("%(message)s of the first line")
    named_ids._known.pop("%(message)s of the first line", None)
    formatter = JsonFormatter("%(message)s of the first line")
    assert upstream_json_logger.line_of(formatter, record_of(**IDS)) is not None
