"""What of a record is exported: nothing that a filter has hidden in it, and the ids once."""

from __future__ import annotations

import logging
import sys

import pytest

from tracebaton_configurator.logs.export_handler import _emit_once
from tracebaton_configurator.logs.extras import Extras
from tracebaton_configurator.logs.ids import Ids, current_ids

SECRET = "hunter2"  # noqa: S105
IDS = Ids("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "01")


def exported(setting: str = "masked", **fields: object) -> tuple[logging.LogRecord, Ids | None]:
    record = logging.makeLogRecord({"name": "app", "msg": "x", "levelno": 40, "levelname": "ERROR", **fields})
    before = dict(record.__dict__)
    made: list[tuple[logging.LogRecord, Ids | None]] = []
    _emit_once(lambda one: made.append((one, current_ids())), record, Extras(setting))
    assert record.__dict__ == before
    return made[0]


def test_the_exception_is_that_of_a_filter() -> None:
    try:
        raise ValueError(SECRET)
    except ValueError:
        shown, _ = exported(exc_info=sys.exc_info(), exc_text="Traceback\nValueError: ***")
    assert shown.exc_info is None
    assert shown.__dict__["exception.stacktrace"] == "Traceback\nValueError: ***"
    assert shown.__dict__["exception.type"] == "ValueError"
    assert SECRET not in str(shown.__dict__)


def test_one_that_another_formatter_has_written_is_whole() -> None:
    try:
        raise ValueError("no order")
    except ValueError:
        shown, _ = exported(exc_info=sys.exc_info(), exc_text="Traceback\nValueError: no order")
    assert shown.__dict__["exception.message"] == "no order"


def test_the_ids_are_those_of_the_record_and_no_attributes() -> None:
    shown, ids = exported(**IDS._asdict(), otelTraceID="0", room=7)
    assert ids == IDS
    assert not shown.__dict__.keys() & {*Ids._fields, "otelTraceID"}
    assert shown.__dict__["room"] == 7


@pytest.mark.parametrize("own", [{"trace_id": "mine"}, {"trace_id": 5, "span_id": None}])
def test_ids_of_the_applications_own_stay(own: dict[str, object]) -> None:
    shown, ids = exported(**own)
    assert ids is None
    assert shown.__dict__["trace_id"] == own["trace_id"]


def test_extras_are_masked_as_in_a_line() -> None:
    shown, _ = exported(password=SECRET, headers={"Authorization": SECRET}, room=7)
    assert SECRET not in str(shown.__dict__)
    assert exported("none", room=7)[0].__dict__.get("room") is None
    assert SECRET not in str(exported(msg={"password": SECRET})[0].__dict__)


class Redacting(logging.LogRecord):
    hidden = ""

    def getMessage(self) -> str:  # noqa: N802 (the standard library's name)
        return super().getMessage().replace(self.hidden, "***")


@pytest.mark.parametrize("setting", ["masked", "none", "all"])
@pytest.mark.parametrize("where", ["on the record", "in its class"])
def test_a_message_that_redacts_is_exported_as_it_says(setting: str, where: str) -> None:
    record: logging.LogRecord
    if where == "in its class":
        record = Redacting("app", 20, "x.py", 1, "card %s", (SECRET,), None)
        record.hidden = SECRET
    else:
        record = logging.LogRecord("app", 20, "x.py", 1, "card %s", (SECRET,), None)
        record.getMessage = lambda: "card ***"  # type: ignore[method-assign]
    made: list[logging.LogRecord] = []
    _emit_once(made.append, record, Extras(setting))
    assert made[0].getMessage() == "card ***"
    assert made[0].args is None
