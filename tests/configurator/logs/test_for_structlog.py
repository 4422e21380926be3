"""Lines of structlog, however it is set up."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import io
import json
import logging
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from opentelemetry import trace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Log

IDS = {"trace_id": "0af7651916cd43dd8448eb211c80319c", "span_id": "b7ad6b7169203331", "trace_flags": "01"}
PLAIN = [structlog.contextvars.merge_contextvars, structlog.processors.add_log_level]
JSON = structlog.processors.JSONRenderer()


@contextmanager
def request() -> Iterator[None]:
    context = trace.SpanContext(
        int(IDS["trace_id"], 16), int(IDS["span_id"], 16), is_remote=False, trace_flags=trace.TraceFlags(1)
    )
    with trace.use_span(trace.NonRecordingSpan(context)):
        yield


@pytest.fixture(autouse=True)
def structlog_as_it_was() -> Iterator[None]:
    yield
    structlog.reset_defaults()


class Printed:
    """What structlog's own loggers print."""

    def __init__(self) -> None:
        self.text = io.StringIO()
        self.bytes = io.BytesIO()

    def logger(self, *processors: Any, factory: Any = structlog.WriteLoggerFactory, **settings: Any) -> Any:
        stream = self.bytes if factory is structlog.BytesLoggerFactory else self.text
        structlog.configure(processors=[*PLAIN, *processors], logger_factory=factory(stream), **settings)
        return structlog.get_logger()

    @property
    def lines(self) -> list[str]:
        return (self.text.getvalue() + self.bytes.getvalue().decode()).splitlines()

    @property
    def objects(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]


@pytest.fixture
def printed() -> Printed:
    return Printed()


def as_bytes(event_dict: dict[str, Any], **_: Any) -> bytes:
    return json.dumps(event_dict).encode()


RENDERERS = [
    structlog.dev.ConsoleRenderer(colors=True),
    structlog.dev.ConsoleRenderer(colors=False),
    structlog.processors.KeyValueRenderer(),
    structlog.processors.LogfmtRenderer(),
]
FACTORIES = [structlog.PrintLoggerFactory, structlog.WriteLoggerFactory]


class TestTextInModeJson:
    @pytest.mark.parametrize("renderer", RENDERERS, ids=lambda renderer: type(renderer).__name__)
    @pytest.mark.parametrize("factory", FACTORIES)
    def test_becomes_one_object_of_the_event_and_its_values(
        self, printed: Printed, install: Callable[[str], None], renderer: Any, factory: Any
    ) -> None:
        install("json")
        log = printed.logger(renderer, factory=factory)
        with request():
            log.bind(room=7).warning("hello %s", "world", who="you\nand me")
        (line,) = printed.objects
        assert line.pop("timestamp").endswith("Z")
        assert line == {
            "level": "WARNING",
            "logger": "structlog",
            "message": "hello world",
            "service.name": "shop",
            **IDS,
            "room": 7,
            "who": "you\nand me",
        }

    def test_outside_a_request_there_are_no_ids(self, printed: Printed, install: Callable[[str], None]) -> None:
        install("json")
        printed.logger(RENDERERS[0]).info("x")
        assert not IDS.keys() & printed.objects[0].keys()

    def test_what_a_processor_took_out_stays_out(self, printed: Printed, install: Callable[[str], None]) -> None:
        def redact(_: Any, __: str, event_dict: dict[str, Any]) -> dict[str, Any]:
            return {**event_dict, "password": "***"}

        install("json")
        printed.logger(redact, RENDERERS[0]).info("x", password="hunter2")  # noqa: S106
        assert printed.objects[0]["password"] == "***"  # noqa: S105
        assert "hunter2" not in printed.lines[0]

    def test_what_is_taken_out_of_the_text_stays_out(self, printed: Printed, install: Callable[[str], None]) -> None:
        def redact(_: Any, __: str, text: str) -> str:
            return text.replace("hunter2", "***")

        install("json")
        printed.logger(RENDERERS[0], redact).info("x", password="hunter2")  # noqa: S106
        assert "hunter2" not in printed.lines[0]
        assert "x" in printed.objects[0]["message"]
        assert "\x1b" not in printed.objects[0]["message"]

    def test_what_a_column_hides_stays_hidden(self, printed: Printed, install: Callable[[str], None]) -> None:
        columns = [
            structlog.dev.Column("", structlog.dev.KeyValueColumnFormatter(None, "", "", value_repr=lambda _: "***")),
            structlog.dev.Column("event", structlog.dev.KeyValueColumnFormatter(None, "", "", value_repr=str)),
        ]
        install("json")
        printed.logger(structlog.dev.ConsoleRenderer(columns=columns)).info("x", password="hunter2")  # noqa: S106
        assert "hunter2" not in printed.lines[0]
        assert printed.objects[0]["message"].startswith("x")

    def test_all_of_the_text_of_an_unknown_renderer_is_the_message(
        self, printed: Printed, install: Callable[[str], None]
    ) -> None:
        install("json")
        log = printed.logger(lambda _, __, event_dict: f"\x1b[1m{event_dict['event']}\x1b[0m\n!")
        with request():
            log.error("x")
        (line,) = printed.objects
        assert (line["message"], line["level"], line["trace_id"]) == ("x\n!", "ERROR", IDS["trace_id"])

    def test_an_exception_is_one_field(self, printed: Printed, install: Callable[[str], None]) -> None:
        install("json")
        plain, formatted = printed.logger(RENDERERS[0]), None
        try:
            raise ValueError("no")
        except ValueError:
            plain.exception("bad")
            formatted = printed.logger(structlog.processors.format_exc_info, RENDERERS[2])
            formatted.exception("bad")
        assert len(printed.objects) == 2
        for line in printed.objects:
            assert line["level"] == "ERROR"
            assert line["exc_info"].startswith("Traceback")
            assert line["exc_info"].endswith("ValueError: no")

    def test_names_that_mean_something_on_a_line_or_a_record_are_kept(
        self, printed: Printed, install: Callable[[str], None]
    ) -> None:
        install("json")
        log = printed.logger(RENDERERS[2])
        with request():
            log.info("x", name="n", args=[1], message="m", service=1, _private=2)
        (line,) = printed.objects
        assert (line["message"], line["name"], line["args"], line["extra.message"]) == ("x", "n", [1], "m")
        assert (line["service"], line["_private"], line["trace_id"]) == (1, 2, IDS["trace_id"])

    def test_the_time_of_a_time_stamper_is_said_once(self, printed: Printed, install: Callable[[str], None]) -> None:
        install("json")
        printed.logger(structlog.processors.TimeStamper(fmt="iso"), RENDERERS[0]).info("x")
        printed.logger(RENDERERS[0]).info("y", timestamp="of the order")
        assert [line.get("extra.timestamp") for line in printed.objects] == [None, "of the order"]

    def test_the_line_that_logged_is_found_as_before(self, printed: Printed, install: Callable[[str], None]) -> None:
        install("json")
        parameter = structlog.processors.CallsiteParameter
        site = structlog.processors.CallsiteParameterAdder([parameter.FUNC_NAME, parameter.FILENAME])
        printed.logger(site, RENDERERS[0]).info("x")
        (line,) = printed.objects
        assert line["func_name"] == "test_the_line_that_logged_is_found_as_before"
        assert line["filename"] == "test_for_structlog.py"

    def test_what_cannot_be_shown_is_logged_all_the_same(
        self, printed: Printed, install: Callable[[str], None]
    ) -> None:
        class Broken:
            def __repr__(self) -> str:
                raise RuntimeError

        install("json")
        printed.logger(RENDERERS[0]).info("x", it=Broken())
        assert printed.objects[0]["message"] == "x"


class TestJson:
    @pytest.mark.parametrize("mode", ["json", "inject"])
    def test_keeps_its_shape_and_gains_the_ids_at_its_end(
        self, printed: Printed, install: Callable[[str], None], mode: str
    ) -> None:
        install(mode)
        log = printed.logger(JSON)
        with request():
            log.info("x", room=7)
        log.info("y")
        assert printed.lines[0] == json.dumps({"room": 7, "event": "x", "level": "info", **IDS})
        assert printed.lines[1] == json.dumps({"event": "y", "level": "info"})

    @pytest.mark.parametrize("mode", ["json", "inject"])
    def test_as_bytes(self, printed: Printed, install: Callable[[str], None], mode: str) -> None:
        install(mode)
        renderer = structlog.processors.JSONRenderer(serializer=as_bytes)
        log = printed.logger(renderer, factory=structlog.BytesLoggerFactory)
        with request():
            log.info("x")
        assert printed.objects == [{"event": "x", "level": "info", **IDS}]

    @pytest.mark.parametrize("mode", ["json", "inject"])
    def test_by_a_renderer_of_the_applications_own(
        self, printed: Printed, install: Callable[[str], None], mode: str
    ) -> None:
        install(mode)
        log = printed.logger(lambda _, __, event_dict: json.dumps({"m": event_dict["event"]}))
        with request():
            log.info("x")
        assert printed.objects == [{"m": "x", **IDS}]

    def test_by_a_serializer_that_takes_some_fields_only(
        self, printed: Printed, install: Callable[[str], None]
    ) -> None:
        def strict(event_dict: dict[str, Any], **_: Any) -> str:
            if event_dict.keys() != {"event", "level"}:
                raise TypeError
            return json.dumps(event_dict)

        install("json")
        log = printed.logger(structlog.processors.JSONRenderer(serializer=strict))
        with request():
            log.info("x")
        assert printed.objects == [{"event": "x", "level": "info", **IDS}]

    def test_the_applications_own_ids_stay(self, printed: Printed, install: Callable[[str], None]) -> None:
        install("json")
        log = printed.logger(JSON)
        with request():
            log.info("x", trace_id="mine")
            log.info("y", trace_id=IDS["trace_id"])
        assert printed.objects[0] == {"event": "x", "level": "info", "trace_id": "mine"}
        assert printed.objects[1] == {"event": "y", "level": "info", **IDS}

    def test_a_logger_that_was_cached_before(self, printed: Printed, install: Callable[[str], None]) -> None:
        log = printed.logger(JSON, cache_logger_on_first_use=True)
        log.info("before")
        bound = log.bind(room=7)
        install("json")
        with request():
            log.info("x")
            bound.info("y")
        assert [line.get("span_id") for line in printed.objects] == [None, IDS["span_id"], IDS["span_id"]]

    def test_the_methods_for_coroutines(self, printed: Printed, install: Callable[[str], None]) -> None:
        """They log in another thread."""

        async def main() -> None:
            with request():
                await log.ainfo("x")
                await asyncio.to_thread(log.info, "y")

        install("json")
        log = printed.logger(JSON)
        asyncio.run(main())
        assert [line["trace_id"] for line in printed.objects] == [IDS["trace_id"]] * 2

    def test_a_wrapper_class_of_the_applications_own(self, printed: Printed, install: Callable[[str], None]) -> None:
        class Mine(structlog.BoundLoggerBase):
            def say(self, event: str) -> None:
                self._proxy_to_logger("info", event)

        install("json")
        log = printed.logger(JSON, wrapper_class=Mine)
        with request():
            log.say("x")
        assert printed.objects == [{"event": "x", "level": "info", **IDS}]


class TestInject:
    @pytest.mark.parametrize("renderer", RENDERERS, ids=lambda renderer: type(renderer).__name__)
    def test_text_stays_as_it_is(self, printed: Printed, install: Callable[[str], None], renderer: Any) -> None:
        log = printed.logger(renderer)
        log.info("x", room=7)
        install("inject")
        with request():
            log.info("x", room=7)
        before, after = printed.lines
        assert before == after


def through_logging(log: Log, *processors: Any, formatter: logging.Formatter | None = None) -> Any:
    """A structlog logger in front of the standard library's, whose handler has this formatter."""
    log.handler(formatter)
    settings = {"wrapper_class": structlog.stdlib.BoundLogger, "logger_factory": lambda *_: log.logger}
    structlog.configure(processors=[*PLAIN, *processors], **settings)
    return structlog.get_logger()


def processor_formatter(renderer: Any, **settings: Any) -> logging.Formatter:
    meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    return structlog.stdlib.ProcessorFormatter(processors=[meta, renderer], foreign_pre_chain=PLAIN, **settings)


class TestStandardLibrary:
    @pytest.mark.parametrize("mode", ["json", "inject"])
    def test_json_in_the_message_stays_one_object(self, log: Log, install: Callable[[str], None], mode: str) -> None:
        install(mode)
        logger = through_logging(log, JSON, formatter=logging.Formatter("%(message)s"))
        with request():
            logger.info("x", room=7)
        assert log.objects == [{"room": 7, "event": "x", "level": "info", **IDS}]

    @pytest.mark.parametrize("settings", [{}, {"fmt": "%(message)s"}, {"keep_exc_info": True}])
    def test_a_console_renderer_in_a_formatter_becomes_one_object(
        self, log: Log, install: Callable[[str], None], settings: Any
    ) -> None:
        install("json")
        wrap = structlog.stdlib.ProcessorFormatter.wrap_for_formatter
        formatter = processor_formatter(structlog.dev.ConsoleRenderer(colors=True), **settings)
        logger = through_logging(log, structlog.processors.TimeStamper(), wrap, formatter=formatter)
        with request():
            logger.warning("x", room=7)
            log.logger.error("foreign %s", 1)
        ours, foreign = log.objects
        assert "\x1b" not in ours["message"]
        assert (ours["level"], ours["logger"], foreign["level"], foreign["logger"]) == (
            "WARNING",
            "app",
            "ERROR",
            "app",
        )
        assert {name: ours[name] for name in IDS} == {name: foreign[name] for name in IDS} == IDS
        if "keep_exc_info" not in settings:
            assert (ours["message"], ours["room"], foreign["message"]) == ("x", 7, "foreign 1")
            assert not [name for name in ours if name.startswith(("_", "extra."))]

    def test_an_exception_in_a_console_renderer(self, log: Log, install: Callable[[str], None]) -> None:
        install("json")
        wrap = structlog.stdlib.ProcessorFormatter.wrap_for_formatter
        logger = through_logging(log, wrap, formatter=processor_formatter(structlog.dev.ConsoleRenderer(colors=True)))
        try:
            raise ValueError("no")
        except ValueError:
            logger.exception("bad")
            log.logger.exception("foreign")
        assert [line["message"] for line in log.objects] == ["bad", "foreign"]
        assert all(line["exc_info"].endswith("ValueError: no") for line in log.objects)

    @pytest.mark.parametrize("mode", ["json", "inject"])
    def test_a_json_renderer_in_a_formatter_keeps_its_shape(
        self, log: Log, install: Callable[[str], None], mode: str
    ) -> None:
        install(mode)
        wrap = structlog.stdlib.ProcessorFormatter.wrap_for_formatter
        logger = through_logging(log, wrap, formatter=processor_formatter(JSON))
        with request():
            logger.info("x", room=7)
            log.logger.info("foreign")
        assert log.objects == [
            {"room": 7, "event": "x", "level": "info", **IDS},
            {"event": "foreign", "level": "info", **IDS},
        ]

    def test_an_event_dict_under_an_ordinary_formatter(self, log: Log, install: Callable[[str], None]) -> None:
        install("json")
        wrap = structlog.stdlib.ProcessorFormatter.wrap_for_formatter
        through_logging(log, wrap, formatter=logging.Formatter("%(message)s")).info("x", room=7)
        (line,) = log.objects
        del line["timestamp"]
        assert line == {"level": "INFO", "logger": "app", "message": "x", "service.name": "shop", "room": 7}

    def test_render_to_log_kwargs(self, log: Log, install: Callable[[str], None]) -> None:
        install("json")
        logger = through_logging(log, structlog.stdlib.render_to_log_kwargs)
        with request():
            logger.info("x", room=7)
        (line,) = log.objects
        assert (line["message"], line["room"], line["trace_id"]) == ("x", 7, IDS["trace_id"])

    def test_a_processor_that_fails_loses_no_line(self, log: Log, install: Callable[[str], None]) -> None:
        install("json")
        wrap = structlog.stdlib.ProcessorFormatter.wrap_for_formatter
        through_logging(log, wrap, formatter=processor_formatter(lambda *_: 1 / 0)).info("x")
        assert "ZeroDivisionError" in log.lines[0]
        assert "x" in log.lines[0]


def test_an_event_that_is_dropped_stays_dropped(printed: Printed, install: Callable[[str], None]) -> None:
    def drop(*_: Any) -> Any:
        raise structlog.DropEvent

    install("json")
    printed.logger(drop, JSON).info("x")
    printed.logger(drop).info("x")
    assert printed.lines == []


def test_what_tests_capture_is_what_was_logged(install: Callable[[str], None]) -> None:
    install("json")
    with request(), structlog.testing.capture_logs() as captured:
        structlog.get_logger().info("x", room=7)
    assert captured == [{"room": 7, "event": "x", "log_level": "info"}]


def test_undone_it_leaves_nothing_behind() -> None:
    from tracebaton_configurator.logs import hook

    base = importlib.import_module("structlog._base").BoundLoggerBase
    before = base._process_event
    undo = hook.install("json", "shop")
    assert base._process_event is not before
    undo()
    assert base._process_event is before


def test_a_module_of_the_same_name_is_left_alone(tmp_path: Any) -> None:
    (tmp_path / "structlog.py").write_text("mine = True\n")
    program = "from tracebaton_configurator.logs import hook; hook.install('json', 'shop'); import structlog, sys; "
    program += "print(structlog.mine, 'loguru' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.stderr) == ("True False\n", "")


def test_an_application_without_it_pays_nothing_for_it() -> None:
    program = "from tracebaton_configurator.logs import hook; hook.install('json', 'shop'); import sys; "
    program += "print(sorted(one for one in sys.modules if 'structlog' in one or 'loguru' in one))"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


def test_the_places_that_are_patched_are_where_structlog_passes_through() -> None:
    """Fails when a release moves them: then the patch has to move too."""
    base = importlib.import_module("structlog._base").BoundLoggerBase
    assert "self._process_event(method_name, event, event_kw)" in inspect.getsource(base._proxy_to_logger)
    source = inspect.getsource(base._process_event)
    assert {name for name in ("self._context", "self._processors", "self._logger") if name in source} == {
        "self._context",
        "self._processors",
        "self._logger",
    }
    assert list(inspect.signature(base).parameters) == ["logger", "processors", "context"]
    frames = inspect.getsource(importlib.import_module("structlog._frames")._find_first_app_frame_and_name)
    assert 'f_globals.get("__name__")' in frames
    formatter = inspect.getsource(structlog.stdlib.ProcessorFormatter.format)
    assert "in self.processors:" in formatter
    assert '"_logger"' in formatter
    assert '"_name"' in formatter


def test_a_console_renderer_is_known_as_plain() -> None:
    """Fails when a release renames what it is told by; the lines then have the whole text as their message."""
    from tracebaton_configurator.logs.event_dict import is_plain

    assert all(is_plain(renderer) for renderer in RENDERERS)
    assert not is_plain(structlog.dev.ConsoleRenderer(exception_formatter=lambda *_: None))
    assert not is_plain(JSON)


class TestRedaction:
    """What a formatter or renderer of structlog's hides once the application has replaced one of its methods."""

    @pytest.mark.parametrize("on", ["object", "class", "formatter of the standard library"])
    def test_a_formatter_with_a_method_replaced(
        self, log: Log, install: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, on: str
    ) -> None:
        install("json")
        formatter = processor_formatter(structlog.dev.ConsoleRenderer(colors=False))
        logger = through_logging(log, structlog.stdlib.ProcessorFormatter.wrap_for_formatter, formatter=formatter)
        logger.info("first", room=7)
        assert log.objects[0]["room"] == 7
        owner = {"object": formatter, "class": type(formatter)}.get(on, logging.Formatter)
        original: Any = owner.format  # type: ignore[union-attr]
        monkeypatch.setattr(owner, "format", lambda *given: original(*given).replace("hunter2", "***"))
        logger.info("x", card="hunter2")
        logging.Logger.info(log.logger, "hunter2")
        assert "hunter2" not in log.stream.getvalue()
        assert "card=***" in log.objects[1]["message"]
        assert len(log.objects) == 3

    def test_an_event_of_its_own_under_a_formatter_with_a_method_replaced(
        self, log: Log, install: Callable[[str], None]
    ) -> None:
        install("json")
        formatter: Any = logging.Formatter("%(message)s")
        logger = through_logging(log, structlog.stdlib.ProcessorFormatter.wrap_for_formatter, formatter=formatter)
        original = formatter.format
        formatter.format = lambda record: original(record).replace("hunter2", "***")
        logger.info("x", card="hunter2")
        assert "hunter2" not in log.stream.getvalue()

    @pytest.mark.parametrize("renderer", [structlog.processors.KeyValueRenderer, structlog.processors.LogfmtRenderer])
    def test_a_renderer_that_is_replaced(
        self, printed: Printed, install: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, renderer: Any
    ) -> None:
        install("json")
        original = renderer.__call__
        monkeypatch.setattr(renderer, "__call__", lambda *given: original(*given).replace("hunter2", "***"))
        printed.logger(renderer()).info("x", card="hunter2")
        assert "card=" in printed.objects[0]["message"]
        assert "hunter2" not in printed.lines[0]

    def test_a_renderer_that_shows_values_in_its_own_way(
        self, printed: Printed, install: Callable[[str], None]
    ) -> None:
        install("json")
        renderer: Any = structlog.processors.KeyValueRenderer()
        renderer._repr = lambda _: "***"
        printed.logger(renderer).info("x", card="hunter2")
        assert "hunter2" not in printed.lines[0]

    def test_a_line_that_is_dropped_by_a_formatter_of_the_applications_own(
        self, log: Log, install: Callable[[str], None]
    ) -> None:
        class Own(structlog.stdlib.ProcessorFormatter):
            def format(self, record: logging.LogRecord) -> str:
                return super().format(record)

        def drop(*_: Any) -> Any:
            raise structlog.DropEvent

        install("json")
        formatter = Own(processors=[drop, structlog.dev.ConsoleRenderer()])
        logger = through_logging(log, structlog.stdlib.ProcessorFormatter.wrap_for_formatter, formatter=formatter)
        logger.info("x")
        assert log.lines == []
