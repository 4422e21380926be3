"""What an application hides in its own log is in no line: by a formatter, filter, handler or record of its own."""

from __future__ import annotations

import json
import logging
import logging.handlers
import queue
import string
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from tracebaton_configurator.logs import hook, stock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Log

    Hide = Callable[[logging.Logger, logging.Handler], object]

TEXT = "%(levelname)s %(message)s"
SECRET = "hunter2"  # noqa: S105


def hidden(text: str) -> str:
    return text.replace(SECRET, "***")


def formatter_of(handler: logging.Handler) -> logging.Formatter:
    assert handler.formatter is not None
    return handler.formatter


@pytest.fixture
def handler(log: Log, install: Callable[[str], None]) -> logging.Handler:
    install("json")
    return log.handler(logging.Formatter(TEXT))


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """Tests replace methods of these classes as an application may."""
    classes = (logging.Formatter, logging.PercentStyle, logging.LogRecord, logging.Handler)
    before = [(one, name, value) for one in classes for name, value in vars(one).items() if callable(value)]
    factory = logging.getLogRecordFactory()
    yield
    for one, name, value in before:
        setattr(one, name, value)
    logging.setLogRecordFactory(factory)


def fail(log: Log, **extra: Any) -> None:
    try:
        raise ValueError(f"no {SECRET}")
    except ValueError:
        log.logger.exception("the password is %s", SECRET, extra=extra)


def replaced_on_object(name: str) -> Hide:
    def hide(_: logging.Logger, handler: logging.Handler) -> None:
        formatter = formatter_of(handler)
        original = getattr(formatter, name)
        setattr(formatter, name, lambda *given: hidden(original(*given)))

    return hide


def replaced_on_class(owner: type, name: str) -> Hide:
    def hide(_: logging.Logger, __: logging.Handler) -> None:
        original = getattr(owner, name)
        setattr(owner, name, lambda *given, **named: hidden(original(*given, **named)))

    return hide


def style_object(_: logging.Logger, handler: logging.Handler) -> None:
    class Style(logging.PercentStyle):
        def format(self, record: logging.LogRecord) -> str:
            return hidden(super().format(record))

    formatter_of(handler)._style = Style(TEXT)


def style_replaced_on_object(_: logging.Logger, handler: logging.Handler) -> None:
    style: Any = formatter_of(handler)._style
    original = style.format
    style.format = lambda record: hidden(original(record))


def template_object(_: logging.Logger, handler: logging.Handler) -> None:
    class Template(string.Template):
        def substitute(self, *given: Any, **named: Any) -> str:
            return hidden(super().substitute(*given, **named))

    formatter: Any = logging.Formatter("$message", style="$")
    formatter._style._tpl = Template("$message")
    handler.setFormatter(formatter)


def wrapping(_: logging.Logger, handler: logging.Handler) -> None:
    class Wrapping:
        def __init__(self, inner: logging.Formatter) -> None:
            self.inner = inner

        def format(self, record: logging.LogRecord) -> str:
            return hidden(self.inner.format(record))

    handler.setFormatter(Wrapping(formatter_of(handler)))  # type: ignore[arg-type]


def subclass(_: logging.Logger, handler: logging.Handler) -> None:
    class Redacting(logging.Formatter):
        def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
            record.message = hidden(record.message)
            return super().formatMessage(record)

    handler.setFormatter(Redacting(TEXT))


def record_factory(_: logging.Logger, __: logging.Handler) -> None:
    class Hiding(logging.LogRecord):
        def getMessage(self) -> str:  # noqa: N802
            return hidden(super().getMessage())

    logging.setLogRecordFactory(Hiding)


def filter_that_replaces_get_message(logger: logging.Logger, _: logging.Handler) -> None:
    def replace(record: logging.LogRecord) -> bool:
        record.getMessage = partial(lambda text, *_: hidden(text), record.msg % record.args, SECRET)  # type: ignore[method-assign]
        return True

    logger.addFilter(replace)


def filter_that_rewrites_args(logger: logging.Logger, _: logging.Handler) -> None:
    def rewrite(record: logging.LogRecord) -> bool:
        record.args = tuple(hidden(str(one)) for one in record.args or ())
        return True

    logger.addFilter(rewrite)


def field_in_place_of_the_message(logger: logging.Logger, handler: logging.Handler) -> None:
    def add(record: logging.LogRecord) -> bool:
        record.safe = hidden(record.getMessage())
        return True

    logger.addFilter(add)
    handler.setFormatter(logging.Formatter("%(levelname)s %(safe)s"))


def cut_message(_: logging.Logger, handler: logging.Handler) -> None:
    handler.setFormatter(logging.Formatter("%(message).10s ***"))


MESSAGE: dict[str, Hide] = {
    **{f"{name} of one object": replaced_on_object(name) for name in ("format", "formatMessage")},
    **{f"{name} of the class": replaced_on_class(logging.Formatter, name) for name in ("format", "formatMessage")},
    "format of the style's class": replaced_on_class(logging.PercentStyle, "format"),
    "getMessage of the class": replaced_on_class(logging.LogRecord, "getMessage"),
    "format of all handlers": replaced_on_class(logging.Handler, "format"),
    **{
        one.__name__: one
        for one in (
            style_object,
            style_replaced_on_object,
            template_object,
            wrapping,
            subclass,
            record_factory,
            filter_that_replaces_get_message,
            filter_that_rewrites_args,
            field_in_place_of_the_message,
            cut_message,
        )
    },
}


class TestMessage:
    @pytest.mark.parametrize("hide", MESSAGE.values(), ids=MESSAGE.keys())
    @pytest.mark.parametrize("used_before", [False, True])
    def test_it_stays_hidden(self, log: Log, handler: logging.Handler, hide: Hide, *, used_before: bool) -> None:
        if used_before:
            log.logger.info("first")
        hide(log.logger, handler)
        log.logger.info("the password is %s", SECRET)
        assert SECRET not in log.lines[-1]
        assert "***" in log.objects[-1]["message"]

    def test_what_the_default_formatter_hides(
        self, log: Log, install: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Redacting(logging.Formatter):
            def format(self, record: logging.LogRecord) -> str:
                return hidden(super().format(record))

        monkeypatch.setattr(logging, "_defaultFormatter", Redacting())
        install("json")
        log.handler()
        log.logger.info(SECRET)
        assert log.objects[0]["message"] == "***"

    def test_a_method_that_was_replaced_before_the_hook_came(self) -> None:
        """In a process of its own, where the hook has not been imported yet."""
        import subprocess

        for owner, name in (("Formatter", "format"), ("Formatter", "formatException"), ("Handler", "format")):
            code = f"""
import logging, sys
original = logging.{owner}.{name}
logging.{owner}.{name} = lambda *given: original(*given).replace("{SECRET}", "***")
from tracebaton_configurator.logs import hook
hook.install("json", "shop")
logging.basicConfig(format="%(message)s", stream=sys.stdout)
try:
    raise ValueError("{SECRET}")
except ValueError:
    logging.exception("m" if "{name}" == "formatException" else "{SECRET}")
"""
            done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
            assert "***" in json.loads(done.stdout)["message" if name == "format" else "exc_info"]
            assert SECRET not in done.stdout

    @pytest.mark.parametrize("calls_super", [True, False])
    def test_a_handler_that_formats_itself(
        self, log: Log, install: Callable[[str], None], *, calls_super: bool
    ) -> None:
        class Redacting(logging.StreamHandler):  # type: ignore[type-arg]
            def format(self, record: logging.LogRecord) -> str:
                text = super().format(record) if calls_super else formatter_of(self).format(record)
                assert not text.startswith("{")
                return hidden(text)

        install("json")
        handler = Redacting(log.stream)
        handler.setFormatter(logging.Formatter(TEXT))
        log.logger.addHandler(handler)
        fail(log, card=SECRET)
        assert SECRET not in log.lines[0]
        assert "ERROR the password is ***\nTraceback" in log.objects[0]["message"]
        log.logger.info("nothing to hide")
        assert log.objects[1]["message"] == "nothing to hide"

    def test_a_message_that_hides_itself(self, log: Log, handler: logging.Handler) -> None:
        class Hiding:
            def __str__(self) -> str:
                return "***"

            def __repr__(self) -> str:
                return SECRET

        class HidingDict(dict[str, str]):
            def __repr__(self) -> str:
                return "***"

        log.logger.info(Hiding())
        log.logger.info("%s", Hiding())
        log.logger.info(HidingDict(card=SECRET))
        assert [line["message"] for line in log.objects] == ["***"] * 3
        assert SECRET not in log.stream.getvalue()

    def test_an_adapter_and_a_queue(self, log: Log, handler: logging.Handler) -> None:
        class Adapter(logging.LoggerAdapter):  # type: ignore[type-arg]
            def process(self, msg: Any, kwargs: Any) -> Any:
                return hidden(msg), kwargs

        class Queue(logging.handlers.QueueHandler):
            def prepare(self, record: logging.LogRecord) -> Any:
                record.msg, record.args = hidden(record.getMessage()), None
                return record

        waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
        log.logger.handlers = [Queue(waiting)]
        Adapter(log.logger, {}).info(SECRET)
        log.logger.info("%s", SECRET)
        while not waiting.empty():
            handler.handle(waiting.get())
        assert [line["message"] for line in log.objects] == ["***", "***"]


class TestException:
    @pytest.mark.parametrize(
        "hide",
        [
            replaced_on_object("format"),
            replaced_on_object("formatException"),
            replaced_on_class(logging.Formatter, "format"),
            replaced_on_class(logging.Formatter, "formatException"),
            wrapping,
        ],
    )
    @pytest.mark.parametrize("used_before", [False, True])
    def test_it_stays_hidden(self, log: Log, handler: logging.Handler, hide: Hide, *, used_before: bool) -> None:
        if used_before:
            log.logger.info("first")
        hide(log.logger, handler)
        try:
            raise ValueError(SECRET)
        except ValueError:
            log.logger.exception("failed")
        assert SECRET not in log.lines[-1]
        assert "ValueError: ***" in str(log.objects[-1])

    @pytest.mark.parametrize("on_handler", [False, True])
    @pytest.mark.parametrize("message", ["failed", {"message": "failed"}])
    def test_a_filter_that_fills_exc_text(
        self, log: Log, handler: logging.Handler, message: object, *, on_handler: bool
    ) -> None:
        def fill(record: logging.LogRecord) -> bool:
            record.exc_text = "ValueError: ***"
            return True

        (handler if on_handler else log.logger).addFilter(fill)
        try:
            raise ValueError(SECRET)
        except ValueError:
            log.logger.exception(message)
        assert log.objects[0]["exc_info"] == "ValueError: ***"
        assert SECRET not in log.lines[0]

    def test_what_another_handlers_formatter_has_made_of_it(self, log: Log, install: Callable[[str], None]) -> None:
        """The standard library keeps it on the record, for the formatters that come after."""

        class Redacting(logging.Formatter):
            def formatException(self, ei: Any) -> str:  # noqa: N802
                return hidden(super().formatException(ei))

        install("json")
        log.handler(Redacting(TEXT))
        log.handler(logging.Formatter(TEXT))
        try:
            raise ValueError(SECRET)
        except ValueError:
            log.logger.exception("failed")
        assert [line["message"] for line in log.objects] == ["failed", "failed"]
        assert all(line["exc_info"].endswith("ValueError: ***") for line in log.objects)

    def test_one_that_is_left_out_stays_out(self, log: Log, install: Callable[[str], None]) -> None:
        class Brief(logging.Formatter):
            def format(self, record: logging.LogRecord) -> str:
                return record.getMessage()

        install("json")
        log.handler(Brief())
        try:
            error = ValueError("no")
            error.__dict__["__notes__"] = [SECRET]
            raise error
        except ValueError:
            log.logger.exception("failed", stack_info=True, extra={"card": SECRET})
        assert SECRET not in log.lines[0]
        assert "stack_info" not in log.objects[0]

    def test_a_stack(self, log: Log, handler: logging.Handler) -> None:
        formatter_of(handler).formatStack = lambda _: "Stack: ***"  # type: ignore[method-assign]
        log.logger.info("x", stack_info=True)
        assert "Stack (most recent" not in log.lines[0]
        assert "Stack: ***" in log.lines[0]


class TestExtras:
    def test_those_that_a_formatter_shows_word_for_word_are_fields(
        self, log: Log, install: Callable[[str], None]
    ) -> None:
        class Redacting(logging.Formatter):
            def format(self, record: logging.LogRecord) -> str:
                return f"{record.getMessage()} card=*** room={record.room}"  # type: ignore[attr-defined]

        install("json")
        log.handler(Redacting())
        log.logger.info("paid", extra={"card": "4111", "room": 7})
        log.logger.info("paid", extra={"room": 7})
        first, second = log.objects
        assert (first["message"], first["room"], "card" in first) == ("paid card=*** room=7", 7, False)
        assert (second["message"], second["room"]) == ("paid", 7)


class TestWhatFails:
    """Of a formatter that raises, no more is shown than the standard library's diagnostic has."""

    @pytest.mark.parametrize("raises", [True, False])
    def test_a_formatter_of_its_own(
        self, log: Log, install: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, *, raises: bool
    ) -> None:
        class Failing(logging.Formatter):
            def format(self, record: logging.LogRecord) -> str:
                raise ValueError(f"cannot hide {record.args}")

        monkeypatch.setattr(logging, "raiseExceptions", raises)
        install("json")
        log.handler(Failing())
        fail(log, card=SECRET)
        (line,) = log.objects
        assert "exc_info" not in line
        assert "card" not in line
        if raises:
            assert line["message"] == "the password is %s"
        else:
            assert SECRET not in log.lines[0]
            assert line["logging_error"] == "ValueError"

    def test_names_in_arguments(self, log: Log, handler: logging.Handler) -> None:
        log.logger.info("%(user)d", {"user": "x", "password": SECRET})
        assert "logging_error" in log.objects[0]
        assert SECRET not in log.lines[0]

    def test_a_record_with_nothing_but_parts(self, log: Log, handler: logging.Handler) -> None:
        record = logging.makeLogRecord({"msg": "x", "created": "never", "password": SECRET})
        handler.handle(record)
        assert SECRET not in log.lines[0]


def test_verdicts_are_kept_within_bounds_and_stay_right() -> None:
    for number in range(1000):
        formatter = logging.Formatter(f"{number} %(message)s")
        assert stock.what_it_prints(formatter) == stock.TEXT
        formatter.format = lambda _: ""  # type: ignore[method-assign]
        assert stock.what_it_prints(formatter) == stock.UNKNOWN
    assert len(stock._outcomes) <= 256


@pytest.mark.parametrize(
    ("text", "style", "outcome"),
    [
        (TEXT, "%", stock.TEXT),
        ("%(message)-20s|", "%", stock.TEXT),
        ("%(message).9s|", "%", stock.UNKNOWN),
        ("%(message)r", "%", stock.UNKNOWN),
        ("%(levelname)s", "%", stock.UNKNOWN),
        ("{levelname} {message:<9}", "{", stock.TEXT),
        ("{levelname} {message:.9}", "{", stock.UNKNOWN),
        ("{levelname} {message!r}", "{", stock.UNKNOWN),
        ("{{{message}", "{", stock.MAY_BE_JSON),
        ("$levelname ${message}", "$", stock.TEXT),
        ("$levelname $messages", "$", stock.UNKNOWN),
        ("%(message)s", "%", stock.ONLY_THE_MESSAGE),
        ('{"m": "%(message)s"}', "%", stock.MAY_BE_JSON),
    ],
)
def test_formats_that_show_the_message_whole(text: str, style: Any, outcome: int) -> None:
    assert stock.what_it_prints(logging.Formatter(text, style=style, validate=False)) == outcome


def test_servers_formatters_are_known() -> None:
    """Fails when uvicorn changes them; gunicorn's and hypercorn's are the standard library's."""
    from uvicorn.config import LOGGING_CONFIG
    from uvicorn.logging import AccessFormatter, DefaultFormatter

    formats = LOGGING_CONFIG["formatters"]
    assert stock.what_it_prints(DefaultFormatter(formats["default"]["fmt"])) == stock.TEXT
    assert stock.what_it_prints(AccessFormatter(formats["access"]["fmt"])) == stock.TEXT
    assert stock.what_it_prints(AccessFormatter("%(client_addr)s %(status_code)s")) == stock.UNKNOWN


def test_what_is_undone_is_undone() -> None:
    before = logging.StreamHandler.emit
    hook.install("json", "shop")()
    assert logging.StreamHandler.emit is before
