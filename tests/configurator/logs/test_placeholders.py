"""What stands for "no id" is none: a line of a request has its ids, whoever has put a placeholder in their place."""

from __future__ import annotations

import json
import logging
from logging.handlers import QueueHandler
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace

from tracebaton_configurator.logs.events import lacking
from tracebaton_configurator.logs.ids import is_placeholder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Log

PLACEHOLDERS = [
    None,
    "-",
    "",
    " ",
    0,
    "0",
    "0" * 32,
    "00000000-0000-0000-0000-000000000000",
    "None",
    "null",
    "N/A",
    False,
]
IDS = {"trace_id": f"{7:032x}", "span_id": f"{7:016x}", "trace_flags": "01"}
TEXT = logging.Formatter("[%(trace_id)s] %(message)s")
OBJECT = logging.Formatter('{"text": "%(message)s", "trace_id": "%(trace_id)s"}')


@pytest.fixture
def in_request() -> Iterator[None]:
    context = trace.SpanContext(7, 7, is_remote=False, trace_flags=trace.TraceFlags(1))
    with trace.use_span(trace.NonRecordingSpan(context)):
        yield


def ids_in(line: dict[str, Any]) -> dict[str, Any]:
    return {name: line[name] for name in IDS if name in line}


class Putting(logging.Filter):
    """As applications do it that have an id of their own for some requests."""

    def __init__(self, value: Any, *names: str) -> None:
        super().__init__()
        self._fields = dict.fromkeys(names or ("trace_id",), value)

    def filter(self, record: logging.LogRecord) -> bool:
        record.__dict__.update(self._fields)
        return True


def by_factory(log: Log, value: Any) -> logging.Logger:
    factory = logging.getLogRecordFactory()

    def make(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = factory(*args, **kwargs)
        record.trace_id = value
        return record

    logging.setLogRecordFactory(make)
    return log.logger


def by_filter(log: Log, value: Any) -> logging.Logger:
    log.logger.addFilter(Putting(value))
    return log.logger


def by_filter_of_handler(log: Log, value: Any) -> logging.Logger:
    log.logger.handlers[0].addFilter(Putting(value, *IDS))
    return log.logger


def by_adapter(log: Log, value: Any) -> Any:
    return logging.LoggerAdapter(log.logger, {"trace_id": value, "span_id": value})


@pytest.fixture(autouse=True)
def factory() -> Iterator[None]:
    before = logging.getLogRecordFactory()
    yield
    logging.setLogRecordFactory(before)


@pytest.mark.usefixtures("in_request")
@pytest.mark.parametrize("value", PLACEHOLDERS, ids=repr)
@pytest.mark.parametrize("put", [by_factory, by_filter, by_filter_of_handler, by_adapter])
class TestInARequest:
    def test_json(self, put: Callable[..., Any], value: Any, log: Log, install: Callable[..., None]) -> None:
        install("json")
        log.handler()
        put(log, value).warning("a")
        assert ids_in(log.objects[0]) == IDS

    @pytest.mark.parametrize("mode", ["json", "inject"])
    def test_its_own_object(
        self, put: Callable[..., Any], value: Any, mode: str, log: Log, install: Callable[..., None]
    ) -> None:
        install(mode)
        log.handler(OBJECT)
        put(log, value).warning("a")
        assert ids_in(log.objects[0]) == IDS

    def test_its_own_text(self, put: Callable[..., Any], value: Any, log: Log, install: Callable[..., None]) -> None:
        install("inject")
        log.handler(TEXT)
        put(log, value).warning("a")
        assert log.lines == [f"[{IDS['trace_id']}] a"]


@pytest.mark.usefixtures("in_request")
def test_an_object_that_is_not_made_of_the_records_attributes(log: Log, install: Callable[..., None]) -> None:
    install("inject")
    log.handler(logging.Formatter('{"text": "%(message)s", "trace_id": "-", "span_id": "-"}'))
    log.logger.warning("a")
    assert ids_in(log.objects[0]) == IDS


@pytest.mark.usefixtures("in_request")
def test_a_queue_gets_the_ids(log: Log, install: Callable[..., None]) -> None:
    install("json")
    queue: SimpleQueue[Any] = SimpleQueue()
    handler = QueueHandler(queue)  # type: ignore[arg-type]
    handler.addFilter(Putting("-"))
    log.logger.addHandler(handler)
    log.logger.warning("a")
    assert queue.get().trace_id == IDS["trace_id"]


def test_a_record_that_waited_gets_none_of_who_takes_it_out(log: Log, install: Callable[..., None]) -> None:
    install("inject")
    queue: SimpleQueue[Any] = SimpleQueue()
    handler = QueueHandler(queue)  # type: ignore[arg-type]
    handler.addFilter(Putting("-"))
    log.logger.addHandler(handler)
    log.logger.warning("a")
    log.logger.removeHandler(handler)
    console = log.handler(OBJECT)
    context = trace.SpanContext(8, 8, is_remote=False, trace_flags=trace.TraceFlags(1))
    with trace.use_span(trace.NonRecordingSpan(context)):
        console.handle(queue.get())
    assert ids_in(log.objects[0]) == {"trace_id": "-"}


@pytest.mark.usefixtures("in_request")
@pytest.mark.parametrize("value", ["abc", 12345, "0123", f"{9:032x}"])
@pytest.mark.parametrize("put", [by_factory, by_filter])
def test_an_id_of_its_own_stays(put: Callable[..., Any], value: Any, log: Log, install: Callable[..., None]) -> None:
    install("json")
    log.handler()
    put(log, value).warning("a")
    assert log.objects[0]["trace_id"] == value


def test_outside_a_request_the_placeholder_is_what_its_format_shows(log: Log, install: Callable[..., None]) -> None:
    install("inject")
    log.handler(TEXT)
    by_factory(log, "-").warning("a")
    assert log.lines == ["[-] a"]


def test_events_of_other_libraries() -> None:
    for value in PLACEHOLDERS:
        assert lacking({"trace_id": value, "span_id": value, "trace_flags": value, "a": 1}, IDS) == IDS
    assert lacking({"trace_id": "abc"}, IDS) == {}


def test_a_value_that_cannot_be_looked_at_is_an_id() -> None:
    class Odd:
        def __bool__(self) -> bool:
            raise ValueError

        __eq__ = __hash__ = None  # type: ignore[assignment]

    assert not is_placeholder(Odd())
    assert json.dumps([is_placeholder(value) for value in PLACEHOLDERS]) == json.dumps([True] * len(PLACEHOLDERS))
