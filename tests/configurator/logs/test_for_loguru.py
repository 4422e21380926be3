"""Lines of loguru, whatever it writes to."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import io
import json
import logging
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from loguru import logger
from opentelemetry import trace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

IDS = {"trace_id": "0af7651916cd43dd8448eb211c80319c", "span_id": "b7ad6b7169203331", "trace_flags": "01"}


@contextmanager
def request() -> Iterator[None]:
    context = trace.SpanContext(
        int(IDS["trace_id"], 16), int(IDS["span_id"], 16), is_remote=False, trace_flags=trace.TraceFlags(1)
    )
    with trace.use_span(trace.NonRecordingSpan(context)):
        yield


class Sink(io.StringIO):
    """A stream that a sink writes to."""

    @property
    def lines(self) -> list[str]:
        return self.getvalue().splitlines()

    @property
    def objects(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]


@pytest.fixture
def sink() -> Sink:
    return Sink()


@pytest.fixture(autouse=True)
def loguru_without_handlers() -> Iterator[None]:
    logger.remove()
    yield
    logger.remove()
    logger.configure(patcher=lambda _: None, extra={})


class TestTextInModeJson:
    @pytest.mark.parametrize("settings", [{}, {"colorize": True}, {"format": "{message} {extra}"}, {"enqueue": True}])
    def test_becomes_one_object(self, sink: Sink, install: Callable[[str], None], settings: Any) -> None:
        install("json")
        logger.add(sink, **settings)
        with request(), logger.contextualize(job="j"):
            logger.bind(room=7).success("hello {}", "world\nand you")
        logger.complete()
        (line,) = sink.objects
        assert line.pop("timestamp").endswith("Z")
        if "format" not in settings:  # the default one names them
            assert (line.pop("function"), type(line.pop("line"))) == ("test_becomes_one_object", int)
        assert line == {
            "level": "SUCCESS",
            "logger": __name__,
            "message": "hello world\nand you",
            "service.name": "shop",
            **IDS,
            "job": "j",
            "room": 7,
        }

    def test_outside_a_request_there_are_no_ids(self, sink: Sink, install: Callable[[str], None]) -> None:
        install("json")
        logger.add(sink)
        logger.info("x")
        assert not IDS.keys() & sink.objects[0].keys()

    def test_a_sink_that_was_there_before(self, sink: Sink, install: Callable[[str], None]) -> None:
        logger.add(sink)
        install("json")
        logger.info("x")
        assert sink.objects[0]["message"] == "x"

    @pytest.mark.parametrize("colorize", [False, True])
    def test_an_exception_is_one_field_in_the_words_of_loguru(
        self, sink: Sink, install: Callable[[str], None], *, colorize: bool
    ) -> None:
        @logger.catch
        def fail(divisor: int) -> float:
            return 1 / divisor

        install("json")
        logger.add(sink, colorize=colorize, diagnose=True)
        fail(0)
        (line,) = sink.objects
        assert line["level"] == "ERROR"
        assert line["exc_info"].endswith("ZeroDivisionError: division by zero")
        assert re.search(r"(└|->) 0\n", line["exc_info"])
        assert "\x1b" not in line["exc_info"]
        assert "Traceback" not in line["message"]

    def test_a_file_with_rotation(self, install: Callable[[str], None], tmp_path: Path) -> None:
        install("json")
        handler = logger.add(tmp_path / "app.log", rotation=500)
        with request():
            for number in range(6):
                logger.info("line {}", number)
        logger.remove(handler)
        files = list(tmp_path.iterdir())
        assert len(files) > 1
        lines = [json.loads(line) for file in files for line in file.read_text().splitlines()]
        assert sorted(line["message"] for line in lines) == [f"line {number}" for number in range(6)]
        assert all(file.stat().st_size <= 500 for file in files)

    def test_a_patcher_that_redacts_is_obeyed(self, sink: Sink, install: Callable[[str], None]) -> None:
        install("json")
        logger.configure(patcher=lambda record: record["extra"].update(password="***"))  # noqa: S106
        logger.add(sink)
        logger.bind(password="hunter2").info("x")  # noqa: S106
        assert sink.objects[0]["password"] == "***"  # noqa: S105

    def test_a_function_that_makes_text(self, sink: Sink, install: Callable[[str], None]) -> None:
        install("json")
        logger.add(sink, format=lambda _: "<red>{level}</red> {message}\n{exception}", colorize=True)
        try:
            raise ValueError("no")
        except ValueError:
            logger.bind(room=7).exception("bad")
        (line,) = sink.objects
        assert (line["message"], line["room"]) == ("bad", 7)
        assert line["exc_info"].endswith("ValueError: no")

    def test_what_such_a_function_hides_stays_hidden(self, sink: Sink, install: Callable[[str], None]) -> None:
        install("json")
        logger.add(sink, format=lambda _: "{level} ***\n")
        try:
            raise ValueError("hunter2")
        except ValueError:
            logger.bind(password="hunter2").exception("hunter2")  # noqa: S106
        assert sink.objects[0]["message"] == "ERROR ***"
        assert "hunter2" not in sink.lines[0]

    def test_raw_output_is_left_alone(self, sink: Sink, install: Callable[[str], None]) -> None:
        install("json")
        logger.add(sink)
        with request():
            logger.opt(raw=True).info("50 %")
            logger.opt(raw=True).info("... done\n")
        assert sink.getvalue() == "50 %... done\n"

    def test_a_filter_and_a_level_still_count(self, sink: Sink, install: Callable[[str], None]) -> None:
        install("json")
        logger.add(sink, level="WARNING", filter=lambda record: "no" not in record["extra"])
        logger.info("x")
        logger.bind(no=1).error("y")
        logger.error("z")
        assert [line["message"] for line in sink.objects] == ["z"]


class TestJson:
    @pytest.mark.parametrize("mode", ["json", "inject"])
    def test_what_loguru_serializes_keeps_its_shape(
        self, sink: Sink, install: Callable[[str], None], mode: str
    ) -> None:
        install(mode)
        logger.add(sink, serialize=True, format="{message}")
        with request():
            logger.bind(room=7).info("x")
        logger.info("y")
        first, second = sink.objects
        assert list(first) == ["text", "record", *IDS]
        assert {name: first[name] for name in IDS} == IDS
        assert (first["text"], first["record"]["extra"]) == ("x\n", {"room": 7})
        assert list(second) == ["text", "record"]

    @pytest.mark.parametrize("mode", ["json", "inject"])
    @pytest.mark.parametrize("style", ["format", "field", "function", "message"])
    def test_what_the_application_makes_keeps_its_shape(
        self, sink: Sink, install: Callable[[str], None], mode: str, style: str
    ) -> None:
        def serialize(record: Any) -> None:
            record["extra"]["made"] = json.dumps({"m": record["message"]})

        def make(record: Any) -> str:
            serialize(record)
            return "{extra[made]}\n"

        formats: dict[str, Any] = {"format": '{{"m": "{message}"}}', "field": "{extra[made]}", "function": make}
        install(mode)
        logger.configure(patcher=serialize)
        logger.add(sink, format=formats.get(style, "{message}"))
        with request():
            logger.info("{}", '{"m": "x"}' if style == "message" else "x")
        assert sink.lines == [json.dumps({"m": "x", **IDS})]

    def test_a_traceback_behind_it_becomes_a_field(self, sink: Sink, install: Callable[[str], None]) -> None:
        install("json")
        logger.add(sink, format='{{"m": "{message}"}}')
        try:
            raise ValueError("no")
        except ValueError:
            logger.exception("bad")
        (line,) = sink.objects
        assert line["m"] == "bad"
        assert line["exc_info"].endswith("ValueError: no")

    def test_a_traceback_behind_it_stays_there_in_mode_inject(self, sink: Sink, install: Callable[[str], None]) -> None:
        install("inject")
        logger.add(sink, format='{{"m": "{message}"}}')
        with request():
            try:
                raise ValueError("no")
            except ValueError:
                logger.exception("bad")
        assert json.loads(sink.lines[0]) == {"m": "bad", **IDS}
        assert sink.lines[-1] == "ValueError: no"

    def test_the_applications_own_ids_stay(self, sink: Sink, install: Callable[[str], None]) -> None:
        install("json")
        logger.add(sink)
        logger.add(sink, serialize=True)
        with request():
            logger.bind(trace_id="mine").info("x")
        line, serialized = sink.objects
        assert line["trace_id"] == "mine"
        assert "span_id" not in line
        assert list(serialized) == ["text", "record"]


class TestFunctions:
    @pytest.mark.parametrize("mode", ["json", "inject"])
    @pytest.mark.parametrize("enqueue", [False, True])
    def test_get_the_text_they_got_and_the_ids_in_the_record(
        self, install: Callable[[str], None], mode: str, *, enqueue: bool
    ) -> None:
        got: list[Any] = []
        other: list[Any] = []
        install(mode)
        logger.add(got.append, format="{message} {extra}", enqueue=enqueue)
        logger.add(other.append, format="{message} {extra}", enqueue=enqueue)
        with request():
            logger.bind(room=7).info("x")
        logger.complete()
        assert got == other == ["x {'room': 7}\n"]
        assert got[0].record["extra"] == {"room": 7, **IDS}

    def test_coroutines_too(self, install: Callable[[str], None]) -> None:
        got: list[Any] = []

        async def take(message: Any) -> None:
            got.append(message)

        async def main() -> None:
            logger.add(take, format="{message}")
            with request():
                logger.info("x")
            await logger.complete()

        install("json")
        asyncio.run(main())
        assert got == ["x\n"]
        assert got[0].record["extra"] == IDS


class TestStandardLibrary:
    def test_a_stream_handler_as_a_sink(self, sink: Sink, install: Callable[[str], None]) -> None:
        install("json")
        logger.add(logging.StreamHandler(sink))
        with request():
            logger.bind(room=7).info("x")
        (line,) = sink.objects
        assert (line["message"], line["level"], line["logger"], line["room"]) == ("x", "INFO", __name__, 7)
        assert {name: line[name] for name in IDS} == IDS

    @pytest.mark.parametrize("mode", ["json", "inject"])
    def test_json_of_a_handler_of_its_own(self, sink: Sink, install: Callable[[str], None], mode: str) -> None:
        install(mode)
        handler = logging.StreamHandler(sink)
        handler.setFormatter(logging.Formatter('{"m": "%(message)s"}'))
        logger.add(handler, format="{message}")
        with request():
            logger.info("x")
        assert sink.objects == [{"m": "x", **IDS}]

    def test_another_handler_gets_the_text_it_got(self, install: Callable[[str], None]) -> None:
        class Mail(logging.Handler):
            got: list[logging.LogRecord] = []  # noqa: RUF012

            def emit(self, record: logging.LogRecord) -> None:
                self.got.append(record)

        install("json")
        logger.add(Mail(), format="{level} {message}")
        with request():
            logger.info("x")
        assert Mail.got[0].getMessage() == "INFO x"
        assert Mail.got[0].__dict__["trace_id"] == IDS["trace_id"]

    def test_its_records_on_their_way_to_loguru(self, sink: Sink, install: Callable[[str], None]) -> None:
        """By the recipe in loguru's README, which looks for the line that logged behind the frames of `logging`."""

        class InterceptHandler(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                frame, depth = inspect.currentframe(), 0
                while frame and (depth == 0 or frame.f_code.co_filename == logging.__file__):
                    frame = frame.f_back
                    depth += 1
                logger.opt(depth=depth, exception=record.exc_info).log(record.levelname, record.getMessage())

        install("json")
        logger.configure(patcher=lambda record: record["extra"].update(where=record["function"]))
        logger.add(sink)
        foreign = logging.Logger("foreign")
        foreign.addHandler(InterceptHandler())
        with request():
            foreign.warning("x %s", 1)
        (line,) = sink.objects
        assert (line["message"], line["level"], line["trace_id"]) == ("x 1", "WARNING", IDS["trace_id"])
        assert (line["logger"], line["where"]) == (__name__, "test_its_records_on_their_way_to_loguru")


class TestInject:
    @pytest.mark.parametrize("settings", [{}, {"format": "{message} {extra}"}, {"colorize": True}])
    def test_text_stays_as_it_is(self, sink: Sink, install: Callable[[str], None], settings: Any) -> None:
        install("inject")
        plain: list[str] = []
        logger.add(sink, **settings)
        with request():
            logger.bind(room=7).info("x {}", 1)
        logger.add(plain.append, **settings)
        logger.bind(room=7).info("x {}", 1)
        assert "trace_id" not in sink.getvalue()
        assert len(sink.lines[0]) == len(plain[0].rstrip("\n"))

    def test_a_format_may_show_the_ids(self, sink: Sink, install: Callable[[str], None]) -> None:
        install("inject")
        logger.add(sink, format="{message} {trace_id}")
        with request():
            logger.info("x")
        assert sink.lines == [f"x {IDS['trace_id']}"]


def test_undone_it_leaves_nothing_behind() -> None:
    from tracebaton_configurator.logs import hook

    handler = importlib.import_module("loguru._handler").Handler
    sinks = importlib.import_module("loguru._simple_sinks")
    places = [(handler, "emit")]
    places += [(sink, "write") for sink in (sinks.CallableSink, sinks.AsyncSink, sinks.StandardSink)]
    before = [getattr(*place) for place in places]
    undo = hook.install("json", "shop")
    assert all(getattr(*place) is not one for place, one in zip(places, before, strict=True))
    undo()
    assert [getattr(*place) for place in places] == before


def test_the_places_that_are_patched_are_where_loguru_passes_through() -> None:
    """Fails when a release moves them: then the patches have to move too."""
    handler = importlib.import_module("loguru._handler").Handler
    sinks = importlib.import_module("loguru._simple_sinks")
    parameters = ["self", "record", "level_id", "from_decorator", "is_raw", "colored_message"]
    assert list(inspect.signature(handler.emit).parameters) == parameters
    emit = inspect.getsource(handler.emit)
    for expected in (
        "self._serialize_record(formatted, record)",
        "dynamic_format = self._formatter(record)",
        "precomputed_format = self._decolorized_format",
        "str_record.record = record",
        "self._sink.write(str_record)",
    ):
        assert expected in emit
    assert list(inspect.signature(handler._serialize_record).parameters) == ["text", "record"]
    assert "self._handler.handle(record)" in inspect.getsource(sinks.StandardSink.write)
    for sink in (sinks.CallableSink, sinks.AsyncSink):
        assert "self._function(message)" in inspect.getsource(sink.write)
