"""Mode `json`: what the application's own formatters and filters hide stays hidden, whichever way they do it."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest

from tracebaton_configurator.logs import hook

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Log

SECRET = "hunter2"  # noqa: S105
TEXT = "%(levelname)s %(message)s"


def hide(text: str) -> str:
    return text.replace(SECRET, "***")


@pytest.fixture
def patched_class() -> Iterator[Callable[[str, Any], None]]:
    """Replaces a method of `logging.Formatter`, until the test is over."""
    before: dict[str, Any] = {}

    def patch(name: str, method: Any) -> None:
        before.setdefault(name, getattr(logging.Formatter, name))
        setattr(logging.Formatter, name, method)

    yield patch
    for name, method in before.items():
        setattr(logging.Formatter, name, method)


def log_both(log: Log) -> None:
    """A line with the secret in its message, and one with it in its traceback."""
    log.logger.info("login with %s", SECRET)
    try:
        raise ValueError(f"refused {SECRET}")
    except ValueError:
        log.logger.exception("failed")


def assert_hidden(log: Log, *, traceback: bool = True, message: bool = True) -> None:
    of_message, of_traceback = log.objects
    assert (SECRET in json.dumps(of_message)) is not message, of_message
    assert (SECRET in json.dumps(of_traceback)) is not traceback, of_traceback
    assert "refused ***" in json.dumps(of_traceback) or not traceback


class Filters:
    """A namespace for what applications attach."""

    @staticmethod
    def exc_text(record: logging.LogRecord) -> bool:
        if record.exc_info:
            record.exc_text = hide(logging.Formatter().formatException(record.exc_info))
        record.msg, record.args = hide(record.getMessage()), None
        return True


@pytest.mark.parametrize("where", ["logger", "handler"])
def test_a_filter_that_fills_exc_text(log: Log, install: Callable[[str], None], where: str) -> None:
    install("json")
    handler = log.handler(logging.Formatter(TEXT))
    (log.logger if where == "logger" else handler).addFilter(Filters.exc_text)
    log_both(log)
    assert_hidden(log)
    log.logger.removeFilter(Filters.exc_text)


def test_format_of_one_object(log: Log, install: Callable[[str], None]) -> None:
    install("json")
    formatter = logging.Formatter(TEXT)
    log.handler(formatter)
    log.logger.info("the first line is made by the formatter as it was")
    log.stream.truncate(0)
    log.stream.seek(0)
    own = formatter.format
    formatter.format = lambda record: hide(own(record))  # type: ignore[method-assign]
    log_both(log)
    assert_hidden(log)


def test_format_exception_of_one_object(log: Log, install: Callable[[str], None]) -> None:
    install("json")
    formatter = logging.Formatter(TEXT)
    own = formatter.formatException
    formatter.formatException = lambda exc_info: hide(own(exc_info))  # type: ignore[method-assign]
    log.handler(formatter)
    log_both(log)
    assert_hidden(log, message=False)


def test_format_message_of_one_object(log: Log, install: Callable[[str], None]) -> None:
    install("json")
    formatter = logging.Formatter(TEXT)
    own = formatter.formatMessage
    formatter.formatMessage = lambda record: hide(own(record))  # type: ignore[method-assign]
    log.handler(formatter)
    log_both(log)
    assert_hidden(log, traceback=False)


@pytest.mark.parametrize("order", ["before", "after", "after the first line"])
@pytest.mark.parametrize("has_formatter", [True, False])
def test_format_of_the_class(
    log: Log,
    install: Callable[[str], None],
    patched_class: Callable[[str, Any], None],
    order: str,
    has_formatter: bool,  # noqa: FBT001
) -> None:
    own = logging.Formatter.format

    def redacting(self: logging.Formatter, record: logging.LogRecord) -> str:
        return hide(own(self, record))

    if order == "before":
        patched_class("format", redacting)
    install("json")
    log.handler(*([logging.Formatter(TEXT)] if has_formatter else []))
    if order == "after the first line":
        log.logger.info("x")
        log.stream.truncate(0)
        log.stream.seek(0)
    if order != "before":
        patched_class("format", redacting)
    log_both(log)
    assert_hidden(log)


def test_format_exception_of_the_class(
    log: Log, install: Callable[[str], None], patched_class: Callable[[str, Any], None]
) -> None:
    own = logging.Formatter.formatException
    install("json")
    log.handler(logging.Formatter(TEXT))
    patched_class("formatException", lambda self, exc_info: hide(own(self, exc_info)))
    log_both(log)
    assert_hidden(log, message=False)


@pytest.mark.parametrize("method", ["format", "_format"])
def test_a_style_of_the_applications_own(log: Log, install: Callable[[str], None], method: str) -> None:
    install("json")
    formatter = logging.Formatter(TEXT)
    style = formatter._style
    own = getattr(style, method)
    setattr(style, method, lambda record: hide(own(record)))
    log.handler(formatter)
    log_both(log)
    assert_hidden(log, traceback=False)


def test_a_subclass_that_hides_in_the_traceback_only(log: Log, install: Callable[[str], None]) -> None:
    """Its message is shown as it is, and the traceback that the base class has noted on the record is not."""

    class Redacting(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return hide(super().format(record))

    install("json")
    log.handler(Redacting(TEXT))
    log_both(log)
    assert_hidden(log)


def test_a_subclass_that_leaves_the_traceback_out(log: Log, install: Callable[[str], None]) -> None:
    class Short(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return f"{record.levelname} {hide(record.getMessage())}"

    install("json")
    log.handler(Short())
    log_both(log)
    assert not any(SECRET in line for line in log.lines)


def test_a_record_of_the_applications_own(log: Log, install: Callable[[str], None]) -> None:
    class Record(logging.LogRecord):
        def getMessage(self) -> str:  # noqa: N802 (the name is the standard library's)
            return hide(super().getMessage())

    install("json")
    log.handler(logging.Formatter(TEXT))
    before = logging.getLogRecordFactory()
    logging.setLogRecordFactory(Record)
    try:
        log.logger.info("login with %s", SECRET)
    finally:
        logging.setLogRecordFactory(before)
    assert "login with ***" in log.objects[0]["message"]


def test_a_formatter_that_raises_shows_no_arguments(log: Log, install: Callable[[str], None]) -> None:
    class Raising(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            raise RuntimeError("the list of secrets cannot be read")

    install("json")
    log.handler(Raising())
    log.logger.info("login with %s", SECRET, extra={"also": SECRET})
    (line,) = log.objects
    assert SECRET not in json.dumps(line)
    assert line["message"] == "login with %s"
    assert line["logging_error"].startswith("RuntimeError")


class TestExtras:
    """`OTEL_TRACEBATON_LOG_EXTRAS`: a text format shows none of them."""

    EXTRAS = {  # noqa: RUF012 (constant)
        "headers": {"Authorization": f"Bearer {SECRET}", "accept": "*/*"},
        "password": SECRET,
        "prompt_tokens": 12,
        "room": "7",
    }

    def line(self, log: Log, extras: str | frozenset[str], **more: Any) -> dict[str, Any]:
        undo = hook.install("json", "shop", extras)
        try:
            log.handler(logging.Formatter(TEXT))
            log.logger.info("x", extra={**self.EXTRAS, **more})
        finally:
            undo()
        line: dict[str, Any] = log.objects[0]
        return {name: value for name, value in line.items() if name in self.EXTRAS or name in more}

    @pytest.mark.parametrize("more", [{}, {"odd": float("nan")}], ids=["quick", "whole"])
    def test_masked(self, log: Log, more: dict[str, Any]) -> None:
        line = self.line(log, "masked", **more)
        assert line["headers"] == {"Authorization": "[masked]", "accept": "*/*"}
        assert line["password"] == "[masked]"  # noqa: S105
        assert (line["prompt_tokens"], line["room"]) == (12, "7")

    @pytest.mark.parametrize("more", [{}, {"odd": float("nan")}], ids=["quick", "whole"])
    def test_none(self, log: Log, more: dict[str, Any]) -> None:
        assert self.line(log, "none", **more) == {}

    @pytest.mark.parametrize("more", [{}, {"odd": float("nan")}], ids=["quick", "whole"])
    def test_names(self, log: Log, more: dict[str, Any]) -> None:
        line = self.line(log, frozenset(("room", "headers")), **more)
        assert line == {"room": "7", "headers": {"Authorization": "[masked]", "accept": "*/*"}}

    def test_all(self, log: Log) -> None:
        assert self.line(log, "all") == self.EXTRAS

    def test_a_dict_that_is_logged_is_the_message(self, log: Log, install: Callable[[str], None]) -> None:
        install("json")
        log.handler(logging.Formatter(TEXT))
        log.logger.info({"event": "login", "password": SECRET})
        assert log.objects[0]["event"] == "login"
        assert SECRET not in log.lines[0]

    def test_what_the_application_renders_as_json_stays(self, log: Log, install: Callable[[str], None]) -> None:
        install("json")
        log.handler(logging.Formatter('{"message": "%(message)s", "password": "%(password)s"}'))
        log.logger.info("x", extra={"password": SECRET})
        assert log.objects[0]["password"] == SECRET
