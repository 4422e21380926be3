"""Which handlers and streams get JSON lines, and what the others get: the application's own text, once."""

from __future__ import annotations

import codecs
import io
import json
import logging
import logging.handlers
import re
import sys
import tempfile
from typing import TYPE_CHECKING, Any

import pytest

from tracebaton_configurator.logs import writing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Log


class Counting(logging.FileHandler):
    count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += 1
        super().emit(record)


class Writing(logging.StreamHandler):  # type: ignore[type-arg]
    def emit(self, record: logging.LogRecord) -> None:
        self.stream.write(self.format(record) + "\n")


def test_an_emit_that_goes_on_to_the_standard_librarys(install: Callable[[str], None], tmp_path: Path) -> None:
    install("json")
    handler = Counting(tmp_path / "log")
    logger = logging.Logger("app")
    logger.addHandler(handler)
    logger.info("paid", extra={"card": "4111"})
    logger.info("paid")
    first, second = map(json.loads, (tmp_path / "log").read_text().splitlines())
    assert (first["message"], second["message"], handler.count) == ("paid", "paid", 2)
    assert "card" not in first


@pytest.mark.parametrize("text", ["%(levelname)s %(message)s", '{"m": "%(message)s"}'])
def test_an_emit_that_writes_by_itself_gets_text_and_objects_the_ids(
    log: Log, install: Callable[[str], None], text: str
) -> None:
    install("json")
    handler = Writing(log.stream)
    handler.setFormatter(logging.Formatter(text))
    log.logger.addHandler(handler)
    log.logger.info("x", extra={"trace_id": "0af7"})
    assert len(log.lines) == 1
    if text.startswith("{"):
        assert log.objects == [{"m": "x", "trace_id": "0af7"}]
    else:
        assert log.lines == ["INFO x"]


def test_whoever_asks_a_handler_for_a_text_gets_the_applications(log: Log, install: Callable[[str], None]) -> None:
    install("json")
    handler = log.handler(logging.Formatter("%(levelname)s %(message)s"))
    assert handler.format(logging.makeLogRecord({"msg": "x", "levelname": "INFO"})) == "INFO x"


def test_the_size_of_a_file_is_that_of_its_lines(install: Callable[[str], None], tmp_path: Path) -> None:
    install("json")
    handler = logging.handlers.RotatingFileHandler(tmp_path / "log", maxBytes=400, backupCount=20)
    logger = logging.Logger("app")
    logger.addHandler(handler)
    for number in range(12):
        logger.info("line %d", number)
    files = list(tmp_path.iterdir())
    assert all(file.stat().st_size <= 400 for file in files)
    assert sorted(json.loads(line)["message"] for file in files for line in file.read_text().splitlines()) == sorted(
        f"line {number}" for number in range(12)
    )


def test_streams_that_are_known(tmp_path: Path) -> None:
    from gunicorn.config import Config
    from gunicorn.http.wsgi import WSGIErrorsWrapper

    class Proxy:
        """As werkzeug's, which stands for the stream of Flask's own handler."""

        def __getattr__(self, name: str) -> Any:
            return getattr(text, name)

    with (
        (tmp_path / "a").open("w") as text,
        (tmp_path / "b").open("wb") as data,
        tempfile.NamedTemporaryFile("w") as temporary,
    ):
        known: tuple[Any, ...] = (
            None,
            text,
            temporary,
            io.StringIO(),
            io.TextIOWrapper(io.BytesIO()),
            codecs.getwriter("utf-8")(data),
            sys.__stderr__,
            Proxy(),
            WSGIErrorsWrapper(Config()),
        )
        assert [one for one in known if not writing.passes_on(one)] == []


def test_others_are_not_in_circles_is_not() -> None:
    class Round:
        """One that has no end."""

        write = staticmethod(print)

        @property
        def stream(self) -> Any:
            return self

    assert not writing.passes_on(Round())
    assert not writing.passes_on(object())


def test_verdicts_are_kept_within_bounds() -> None:
    for number in range(1000):
        handler = type(f"Handler{number}", (logging.StreamHandler,), {})()
        assert writing.methods_of(handler) == (True, True)
    assert len(writing._outcomes) <= 256


def test_streams_without_a_buffer(tmp_path: Path) -> None:
    """`PYTHONUNBUFFERED`: `FileIO` stands behind stdout then, whose `write` is of two kinds, by the Python."""
    with (tmp_path / "log").open("wb", buffering=0) as raw, io.TextIOWrapper(raw, write_through=True) as stream:
        assert writing.passes_on(stream)

    class Stream:
        write = re.compile("").match  # of the second kind on every Python

    assert type(Stream().write).__name__ == "builtin_method"
    assert writing.passes_on(Stream())
