"""Every field that a text format names is in the JSON line, with its defaults and its words."""

from __future__ import annotations

import json
import logging
import os
import threading
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Log

NAMED = ("process", "processName", "thread", "threadName", "filename", "pathname", "lineno", "funcName", "module")
HERE = {
    "pid": os.getpid(),
    "process_name": "MainProcess",
    "thread": threading.get_ident(),
    "thread_name": "MainThread",
    "file": "test_format_fields.py",
    "path": __file__,
    "function": "test_all_that_is_named",
    "module": "test_format_fields",
}
STYLES = {"%": "%({})s", "{": "{{{}}}", "$": "${{{}}}"}


class Redacting(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return super().format(record).replace("hunter2", "***")


@pytest.mark.parametrize("kind", [logging.Formatter, Redacting])
@pytest.mark.parametrize("style", STYLES)
def test_all_that_is_named(log: Log, install: Callable[[str], None], style: Any, kind: Any) -> None:
    install("json")
    log.handler(kind(" ".join(STYLES[style].format(name) for name in (*NAMED, "message")), style=style))
    log.logger.info("hello")
    (line,) = log.objects
    assert line.items() >= {**HERE, "message": "hello"}.items()
    assert isinstance(line["line"], int)
    assert "literal" not in line


def test_what_is_not_named_is_not_there(log: Log, install: Callable[[str], None]) -> None:
    install("json")
    log.handler(logging.Formatter("%(asctime)s,%(msecs)03d - %(name)-8s - [%(levelname)s] | %(message)s"))
    log.logger.info("hello")
    assert log.objects[0].keys() == {"timestamp", "level", "logger", "message", "service.name"}


@pytest.mark.parametrize("kind", [logging.Formatter, Redacting])
def test_words_and_defaults(log: Log, install: Callable[[str], None], kind: Any) -> None:
    install("json")
    text = "[shop-api] %(asctime)s pid=%(process)d env=prod who: %(user)s %(tenant)s %(message)s (password=hunter2) end"
    log.handler(kind(text, defaults={"user": "nobody", "tenant": "none", "unused": 1}))
    log.logger.info("hello", extra={"tenant": "t1"})
    (line,) = log.objects
    assert line.items() >= {"pid": os.getpid(), "env": "prod", "user": "nobody", "tenant": "t1"}.items()
    assert line["literal"] == "shop-api end"
    assert "unused" not in line
    assert "hunter2" not in log.lines[0]


def test_an_extra_keeps_its_name(log: Log, install: Callable[[str], None]) -> None:
    install("json")
    log.handler(logging.Formatter("%(filename)s %(lineno)d %(message)s level=none"))
    log.logger.info("hello", extra={"file": "a.csv"})
    assert log.lines[0].count('"file"') == 1
    assert log.objects[0].items() >= {"file": "a.csv", "filename": "test_format_fields.py", "level": "INFO"}.items()


def test_what_a_formatter_hides_of_it_stays_hidden(log: Log, install: Callable[[str], None]) -> None:
    class Hiding(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return record.getMessage()

    install("json")
    log.handler(Hiding("%(pathname)s %(process)d %(message)s words", defaults={"user": "nobody"}))
    log.logger.info("hello")
    assert not log.objects[0].keys() & {"path", "pid", "literal", "user"}


def test_an_object_written_by_hand_stays(log: Log, install: Callable[[str], None]) -> None:
    install("json")
    log.handler(logging.Formatter('{"m": "%(message)s", "p": %(process)d}'))
    log.logger.info("hello")
    assert log.objects == [{"m": "hello", "p": os.getpid()}]


class TestLoguru:
    @pytest.fixture
    def loguru(self, install: Callable[[str], None]) -> Any:
        from loguru import logger

        logger.remove()
        install("json")
        yield logger
        logger.remove()

    @pytest.mark.parametrize("made_by_function", [False, True])
    def test_a_format(self, log: Log, loguru: Any, *, made_by_function: bool) -> None:
        text = "<green>api</green> {process} {thread.name} {file.name} {function}:{line} env=prod {message}"
        loguru.add(log.stream, format=(lambda _: text + "\n{exception}") if made_by_function else text)
        loguru.info("hello")
        expected = {"pid": os.getpid(), "thread_name": "MainThread", "file": "test_format_fields.py", "env": "prod"}
        assert log.objects[0].items() >= {**expected, "function": "test_a_format", "literal": "api"}.items()
        assert isinstance(log.objects[0]["line"], int)

    def test_its_default(self, log: Log, loguru: Any) -> None:
        loguru.add(log.stream)
        loguru.bind(line="mine").info("hello")
        (line,) = log.objects
        assert (line["function"], line["line"]) == ("test_its_default", "mine")
        assert "literal" not in line


def test_fields_of_a_logged_object_are_its_own(log: Log, install: Callable[[str], None]) -> None:
    install("json")
    log.handler(logging.Formatter("%(process)d app env=prod %(lineno)d %(message)s"))
    log.logger.warning({"pid": 5, "line": "A7", "env": "eu", "literal": "q"})
    (line,) = log.lines
    assert [line.count(f'"{name}"') for name in ("pid", "line", "env", "literal")] == [1, 1, 1, 1]
    shown = json.loads(line)
    assert (shown["pid"], shown["line"], shown["env"], shown["literal"]) == (5, "A7", "eu", "q")
