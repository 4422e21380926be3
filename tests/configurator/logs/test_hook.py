"""Every line carries the trace, whatever the application logs with."""

from __future__ import annotations

import json
import logging
import logging.handlers
import queue
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace

from tracebaton_configurator.logs.ids import remember_ids

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Log

TRACE_ID, SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
IDS = {"trace_id": TRACE_ID, "span_id": SPAN_ID, "trace_flags": "01"}


@contextmanager
def request(flags: int = 1) -> Iterator[None]:
    context = trace.SpanContext(
        int(TRACE_ID, 16), int(SPAN_ID, 16), is_remote=False, trace_flags=trace.TraceFlags(flags)
    )
    with trace.use_span(trace.NonRecordingSpan(context)):
        yield


class TestJson:
    def test_text_becomes_one_object_with_the_ids(self, log: Log, install: Callable[[str], None]) -> None:
        install("json")
        log.handler(logging.Formatter("%(levelname)s %(message)s"))
        with request():
            log.logger.warning("hello %s", "world", extra={"room": 7})
        (line,) = log.objects
        assert line.pop("timestamp").endswith("Z")
        assert line == {
            "level": "WARNING",
            "logger": "app",
            "message": "hello world",
            "service.name": "shop",
            **IDS,
            "room": 7,
        }

    def test_a_handler_without_a_formatter(self, log: Log, install: Callable[[str], None]) -> None:
        install("json")
        log.handler()
        log.logger.info("x")
        assert log.objects[0]["message"] == "x"

    def test_outside_a_request_there_are_no_ids(self, log: Log, install: Callable[[str], None]) -> None:
        install("json")
        log.handler()
        log.logger.info("x")
        assert not IDS.keys() & log.objects[0].keys()

    @pytest.mark.parametrize(("flags", "shown"), [(0, "00"), (1, "01"), (2, "00"), (3, "01")])
    def test_the_flags_say_sampled_or_not(
        self, log: Log, install: Callable[[str], None], flags: int, shown: str
    ) -> None:
        """Bit 1 is level 2's "random trace id", which says nothing about sampling."""
        install("json")
        log.handler()
        with request(flags):
            log.logger.info("x")
        assert log.objects[0]["trace_flags"] == shown

    def test_handlers_that_were_there_before_are_served(self, log: Log, install: Callable[[str], None]) -> None:
        log.handler(logging.Formatter("%(message)s"))
        install("json")
        log.logger.info("x")
        assert log.objects[0]["message"] == "x"

    def test_json_written_by_the_application_keeps_its_shape_and_gains_the_ids(
        self, log: Log, install: Callable[[str], None]
    ) -> None:
        class HandWritten(logging.Formatter):
            def format(self, record: logging.LogRecord) -> str:
                return json.dumps({"msg": record.getMessage(), "lvl": record.levelname})

        install("json")
        log.handler(HandWritten())
        with request():
            log.logger.info("x")
        log.logger.info("y")
        assert log.objects == [{"msg": "x", "lvl": "INFO", **IDS}, {"msg": "y", "lvl": "INFO"}]
        assert log.lines[0].startswith('{"msg": "x", "lvl": "INFO", "trace_id"')

    def test_a_json_format_string_is_json_too(self, log: Log, install: Callable[[str], None]) -> None:
        install("json")
        log.handler(logging.Formatter('{"m": "%(message)s"}'))
        with request():
            log.logger.info("x")
        assert log.objects == [{"m": "x", **IDS}]

    def test_a_json_format_string_that_a_quote_breaks_is_mended(self, log: Log, install: Callable[[str], None]) -> None:
        install("json")
        log.handler(logging.Formatter('{"m": "%(message)s"}'))
        log.logger.info('say "x"')
        assert log.objects[0]["message"] == 'say "x"'

    def test_one_that_ends_with_the_ids_is_mended_too(self, log: Log, install: Callable[[str], None]) -> None:
        install("json")
        ids = '"trace_id": "%(trace_id)s", "span_id": "%(span_id)s", "trace_flags": "%(trace_flags)s"'
        log.handler(logging.Formatter('{"m": "%(message)s", ' + ids + "}"))
        with request():
            log.logger.info("plain")
            log.logger.info('say "hi"')
        assert log.objects[0] == {"m": "plain", **IDS}
        assert log.objects[1].items() >= {"message": 'say "hi"', **IDS}.items()

    def test_an_empty_object_gains_the_ids(self, log: Log, install: Callable[[str], None]) -> None:
        install("json")
        log.handler(logging.Formatter("{{}}", style="{", validate=False))
        with request():
            log.logger.info("x")
        assert log.objects == [IDS]

    def test_the_applications_own_trace_id_stays(self, log: Log, install: Callable[[str], None]) -> None:
        install("json")
        log.handler()
        with request():
            log.logger.info("x", extra={"trace_id": "mine"})
        assert log.objects[0]["trace_id"] == "mine"
        assert "span_id" not in log.objects[0]

    def test_what_a_formatter_hid_stays_hidden(self, log: Log, install: Callable[[str], None]) -> None:
        class Redacting(logging.Formatter):
            def format(self, record: logging.LogRecord) -> str:
                return super().format(record).replace("hunter2", "***")

        install("json")
        log.handler(Redacting("%(levelname)s %(message)s"))
        log.logger.info("password hunter2")
        log.logger.info("nothing to hide")
        assert [line["message"] for line in log.objects] == ["INFO password ***", "nothing to hide"]

    def test_a_queue_carries_the_ids_of_the_moment_of_logging(self, log: Log, install: Callable[[str], None]) -> None:
        install("json")
        waiting: queue.Queue[logging.LogRecord] = queue.Queue()
        target = log.handler()
        log.logger.handlers = [logging.handlers.QueueHandler(waiting)]
        with request():
            log.logger.info("x")
        listener = logging.handlers.QueueListener(waiting, target)
        listener.start()
        listener.stop()
        (line,) = log.objects
        assert line["message"] == "x"
        assert line["trace_id"] == TRACE_ID

    def test_a_traceback_below_an_object_becomes_a_field_of_it(self, log: Log, install: Callable[[str], None]) -> None:
        install("json")
        log.handler(logging.Formatter('{"m": "%(message)s"}'))
        with request():
            try:
                raise ValueError("broken\nin two")
            except ValueError:
                log.logger.exception("x")
        (line,) = log.objects
        assert line.pop("exc_info").endswith("ValueError: broken\nin two")
        assert line == {"m": "x", **IDS}

    @pytest.mark.parametrize("formatter", [None, *map(logging.Formatter, (None, "%(message)s"))])
    def test_an_object_that_is_the_message_keeps_its_shape(
        self, log: Log, install: Callable[[str], None], formatter: logging.Formatter | None
    ) -> None:
        install("json")
        log.handler(formatter)
        with request():
            log.logger.info('{"event": "x"}')
            log.logger.info("%s", '{"event": "y"}')
            log.logger.info("{not JSON}")
        assert log.objects[:2] == [{"event": "x", **IDS}, {"event": "y", **IDS}]
        assert log.objects[2]["message"] == "{not JSON}"

    def test_an_object_within_a_text_is_its_message(self, log: Log, install: Callable[[str], None]) -> None:
        install("json")
        log.handler(logging.Formatter("%(levelname)s %(message)s"))
        log.logger.info('{"event": "x"}')
        assert log.objects[0]["message"] == '{"event": "x"}'

    def test_an_object_over_several_lines_becomes_one(self, log: Log, install: Callable[[str], None]) -> None:
        class Indented(logging.Formatter):
            def format(self, record: logging.LogRecord) -> str:
                return json.dumps({"m": record.getMessage(), "list": [1]}, indent=2)

        install("json")
        log.handler(Indented())
        with request():
            log.logger.info("x")
        assert log.objects == [{"m": "x", "list": [1], **IDS}]

    @pytest.mark.parametrize("text", ["{levelname}: {message}", "%(levelname)s %(message)s", "$levelname $message"])
    def test_text_in_any_style(self, log: Log, install: Callable[[str], None], text: str) -> None:
        style = "{" if text.startswith("{") else "$" if text.startswith("$") else "%"
        install("json")
        log.handler(logging.Formatter(text, style=style, validate=False))  # type: ignore[arg-type]
        log.logger.info("x")
        assert (log.objects[0]["message"], log.objects[0]["level"]) == ("x", "INFO")

    @pytest.mark.parametrize("formatter", [logging.Formatter("%(message)s"), None])
    def test_a_broken_format_string_is_a_line(
        self,
        log: Log,
        install: Callable[[str], None],
        capsys: pytest.CaptureFixture[str],
        formatter: logging.Formatter | None,
    ) -> None:
        install("json")
        log.handler(formatter)
        log.logger.info("%d items", "many")
        assert log.objects[0]["message"] == "'%d items' ('many',)"
        assert capsys.readouterr().err == ""

    def test_a_formatter_that_raises_costs_no_line(
        self, log: Log, install: Callable[[str], None], capsys: pytest.CaptureFixture[str]
    ) -> None:
        class Raising(logging.Formatter):
            def format(self, record: logging.LogRecord) -> str:
                raise KeyError("tenant")

        install("json")
        log.handler(Raising())
        log.logger.info("x")
        assert (log.objects[0]["message"], log.objects[0]["logging_error"]) == ("x", "KeyError: KeyError('tenant')")
        assert capsys.readouterr().err == ""

    @pytest.mark.parametrize("exc_info", [True, (None,), object()])
    def test_a_record_with_an_odd_exc_info_raises_nothing(
        self, log: Log, install: Callable[[str], None], exc_info: object
    ) -> None:
        install("json")
        log.handler()
        log.logger.handle(logging.makeLogRecord({"msg": "x", "levelno": 20, "exc_info": exc_info}))
        assert "x" in log.lines[0]

    def test_an_exception_logged_after_its_request_has_the_ids_of_it(
        self, log: Log, install: Callable[[str], None]
    ) -> None:
        install("json")
        log.handler()
        error = ValueError("broken")
        with request():
            remember_ids(error)
        log.logger.error("failed", exc_info=error)
        assert {name: log.objects[0][name] for name in IDS} == IDS

    def test_handlers_that_do_not_write_to_a_stream_send_what_they_sent(
        self, log: Log, install: Callable[[str], None]
    ) -> None:
        sent: list[str] = []

        class Mail(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                sent.append(self.format(record))

        install("json")
        handler = Mail()
        handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
        log.logger.addHandler(handler)
        with request():
            log.logger.info("x")
        assert sent == ["INFO x"]

    def test_what_a_second_handler_reads_off_the_record_is_there(
        self, log: Log, install: Callable[[str], None]
    ) -> None:
        """`Formatter.format` leaves the message on the record, and there is code that counts on it."""
        install("json")
        log.handler()
        seen: list[str] = []

        class Reading(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                seen.append(record.message)

        log.logger.addHandler(Reading())
        log.logger.info("order %d", 1)
        assert seen == ["order 1"]


class TestInject:
    def test_text_stays_text_and_the_record_has_the_ids(self, log: Log, install: Callable[[str], None]) -> None:
        install("inject")
        log.handler(logging.Formatter("%(message)s %(trace_id)s", defaults={"trace_id": "-"}))
        with request():
            log.logger.info("x")
        log.logger.info("y")
        assert log.lines == [f"x {TRACE_ID}", "y -"]

    def test_objects_gain_the_ids(self, log: Log, install: Callable[[str], None]) -> None:
        install("inject")
        log.handler(logging.Formatter('{"m": "%(message)s"}'))
        with request():
            log.logger.info("x")
        assert log.objects == [{"m": "x", **IDS}]

    @pytest.mark.parametrize(
        ("text", "gains"),
        [
            ('{"m": "x", %s}', False),
            ('{%s, "m": "x"}', False),
            ('{"m": "say "hi"", %s}', False),  # no JSON, and left alone
            ('{"of": {%s}}', True),
            ('{"of": {"x": 1, %s}}', True),
            ('{%s, "of": {"x": 1}}', False),
            ('{"m": "trace %s"}', True),
        ],
    )
    def test_objects_that_have_them_stay(self, log: Log, install: Callable[[str], None], text: str, gains: Any) -> None:
        install("inject")
        ids = json.dumps(IDS)[1:-1]
        made = text % (ids.replace('"', '\\"') if text.endswith('%s"}') else ids)

        class Own(logging.Formatter):
            def format(self, record: logging.LogRecord) -> str:
                return made

        log.handler(Own())
        with request():
            log.logger.info("x")
        (line,) = log.lines
        assert line == made if not gains else json.loads(line) == {**json.loads(made), **IDS}

    def test_a_traceback_stays_where_it_was(self, log: Log, install: Callable[[str], None]) -> None:
        install("inject")
        log.handler(logging.Formatter('{"m": "%(message)s"}'))
        with request():
            try:
                raise ValueError("broken")
            except ValueError:
                log.logger.exception("x")
        assert json.loads(log.lines[0]) == {"m": "x", **IDS}
        assert log.lines[1] == "Traceback (most recent call last):"
        assert log.lines[-1] == "ValueError: broken"

    def test_a_broken_format_string_fails_as_it_did(
        self, log: Log, install: Callable[[str], None], capsys: pytest.CaptureFixture[str]
    ) -> None:
        install("inject")
        log.handler()
        log.logger.info("%d items", "many")
        assert log.lines == []
        assert "--- Logging error ---" in capsys.readouterr().err


def test_off_leaves_logging_untouched(log: Log, install: Callable[[str], None]) -> None:
    before = (logging.Logger.handle, logging.Handler.format)
    install("off")
    assert (logging.Logger.handle, logging.Handler.format) == before


def test_undone_it_leaves_nothing_behind(log: Log) -> None:
    from tracebaton_configurator.logs import hook

    before = (logging.Logger.handle, logging.Handler.format)
    undo = hook.install("json", "shop")
    assert logging.Handler.format is not before[1]
    undo()
    assert (logging.Logger.handle, logging.Handler.format) == before


def test_the_methods_that_are_patched_are_where_logging_passes_through() -> None:
    """Fails when a Python release moves them: then the hook has to move too."""
    import inspect

    assert "self.handle(record)" in inspect.getsource(logging.Logger._log)
    assert "self.format(record)" in inspect.getsource(logging.StreamHandler.emit)
