"""What loguru and structlog hide is in no line, whichever of their parts hides it and whatever stands behind them."""

from __future__ import annotations

import io
import json
import logging
import logging.handlers
import queue
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from loguru import logger

from tracebaton_configurator.logs import hook

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECRET = 'hü"nter2'  # noqa: S105 (in JSON it reads differently)
SPELLINGS = (SECRET, json.dumps(SECRET)[1:-1])
VARIANTS: dict[str, Any] = {}


def hidden(text: str) -> str:
    return text.replace(SECRET, "***")


def variant(setup: Any) -> Any:
    VARIANTS[setup.__name__] = setup
    return setup


class Writing:
    """A stream that hides."""

    def __init__(self, out: io.StringIO) -> None:
        self.out = out

    def write(self, text: str) -> None:
        self.out.write(hidden(text))

    def flush(self) -> None:
        pass


def stream_handler(out: Any, text: str | None = None) -> logging.Handler:
    handler = logging.StreamHandler(out)
    handler.setFormatter(logging.Formatter(text) if text else None)
    return handler


def hiding_function(record: Any) -> str:
    record["extra"]["safe"] = hidden(record["message"])
    return "{level} {extra[safe]} card=***\n"


@variant
def function_before_a_handler(out: io.StringIO) -> None:
    logger.add(stream_handler(out), format=hiding_function)


@variant
def function_before_a_handler_with_a_filter(out: io.StringIO) -> None:
    handler = stream_handler(out, "%(message)s")
    handler.addFilter(lambda record: record.extra["card"] == SECRET)  # type: ignore[attr-defined]
    logger.add(handler, format=hiding_function)


@variant
def filter_of_the_handler_that_rewrites(out: io.StringIO) -> None:
    def rewrite(record: logging.LogRecord) -> bool:
        prefix, found, _ = str(record.msg).partition(" | ")
        assert found
        record.msg, record.exc_info, record.exc_text = prefix + " | ***", None, None
        record.extra = {}  # type: ignore[attr-defined]
        return True

    handler = stream_handler(out, "%(message)s")
    handler.addFilter(rewrite)
    logger.add(handler, format="{level} | {message}")


@variant
def emit_of_a_handler(out: io.StringIO) -> None:
    class Own(logging.StreamHandler):  # type: ignore[type-arg]
        def emit(self, record: logging.LogRecord) -> None:
            assert record.extra == {"card": SECRET}  # type: ignore[attr-defined]
            self.stream.write(hidden(self.format(record)).strip() + "\n")

    logger.add(Own(out), format="{level} | {message}")


@variant
def format_of_a_handler(out: io.StringIO) -> None:
    class Own(logging.StreamHandler):  # type: ignore[type-arg]
        def format(self, record: logging.LogRecord) -> str:
            return hidden(super().format(record)).strip()

    logger.add(Own(out), format="{level} | {message}")


@variant
def formatter_of_a_handler(out: io.StringIO) -> None:
    class Own(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return hidden(super().format(record)).strip()

    handler = stream_handler(out)
    handler.setFormatter(Own())
    logger.add(handler, format="{level} | {message}")


@variant
def stream_of_a_handler(out: io.StringIO) -> None:
    logger.add(stream_handler(Writing(out)), format="{level} | {message}")


@variant
def function_before_a_queue(out: io.StringIO) -> Callable[[], object]:
    waiting: Any = queue.SimpleQueue()
    listener = logging.handlers.QueueListener(waiting, stream_handler(out, "%(levelname)s %(message)s"))
    logger.add(logging.handlers.QueueHandler(waiting), format=hiding_function)

    def pass_on() -> None:
        while not waiting.empty():
            listener.handle(waiting.get())

    return pass_on


@variant
def function_before_a_memory_handler(out: io.StringIO) -> Callable[[], object]:
    handler = logging.handlers.MemoryHandler(10, target=stream_handler(out, "%(levelname)s %(message)s"))
    logger.add(handler, format=hiding_function)
    return handler.flush


@variant
def stream_of_a_sink(out: io.StringIO) -> None:
    logger.add(Writing(out), format="{level} | {message}")  # type: ignore[call-overload]


@variant
def function_of_a_sink(out: io.StringIO) -> None:
    logger.add(out, format=hiding_function)


@variant
def patcher(out: io.StringIO) -> None:
    def patch(record: Any) -> None:
        record["message"] = hidden(record["message"])
        record["extra"]["card"] = "***"
        record["exception"] = None

    logger.configure(patcher=patch)
    logger.add(out)
    logger.add(stream_handler(out))


@variant
def filter_of_a_sink(out: io.StringIO) -> None:
    def patch(record: Any) -> bool:
        record["message"] = hidden(record["message"])
        record["extra"]["card"] = "***"
        record["exception"] = None
        return True

    logger.add(out, filter=patch)
    logger.add(stream_handler(out), filter=patch)


@variant
def intercepted(out: io.StringIO) -> None:
    logger.add(out, format=hiding_function)


@variant
def intercepted_to_a_handler(out: io.StringIO) -> None:
    logger.add(stream_handler(out, "%(message)s"), format=hiding_function)


@variant
def intercepted_by_a_stream_handler(out: io.StringIO) -> None:
    logger.add(stream_handler(out, "%(message)s"), format=hiding_function)


def say(name: str) -> None:
    try:
        raise ValueError(f"no {SECRET}")
    except ValueError:
        if not name.startswith("intercepted"):
            logger.bind(card=SECRET).exception("pin {}", SECRET)
            return

        class Intercept(logging.StreamHandler if "stream" in name else logging.Handler):  # type: ignore[misc]
            def emit(self, record: logging.LogRecord) -> None:
                bound = logger.bind(card=record.card)  # type: ignore[attr-defined]
                bound.opt(exception=record.exc_info).log(record.levelname, record.getMessage())

        foreign = logging.Logger("foreign")
        foreign.addHandler(Intercept())
        foreign.exception("pin %s", SECRET, extra={"card": SECRET})


@pytest.fixture(autouse=True)
def loguru_without_handlers() -> Iterator[None]:
    logger.remove()
    yield
    logger.remove()
    logger.configure(patcher=lambda _: None, extra={})


def printed_by(name: str) -> str:
    out = io.StringIO()
    end = VARIANTS[name](out)
    say(name)
    if end:
        end()
    logger.remove()
    logger.configure(patcher=lambda _: None)
    return out.getvalue()


@pytest.mark.parametrize("mode", ["json", "inject"])
@pytest.mark.parametrize("name", VARIANTS)
def test_loguru(name: str, mode: str) -> None:
    plain = printed_by(name)
    assert not [one for one in SPELLINGS if one in plain]
    undo = hook.install(mode, "shop")
    try:
        traced = printed_by(name)
    finally:
        undo()
    assert not [one for one in SPELLINGS if one in traced]
    assert plain.splitlines()[0].rpartition(" ")[2] in traced
    assert len(traced.splitlines()) <= len(plain.splitlines())


class HidingLogger(structlog.PrintLogger):
    def msg(self, message: str) -> None:
        super().msg(hidden(message))

    error = info = msg


def test_a_stream_and_a_logger_behind_structlog() -> None:
    for traced in (False, True):
        undo = hook.install("json", "shop") if traced else None
        with suppress(StopIteration):
            for make in (
                lambda out: structlog.PrintLogger(Writing(out)),
                lambda out: structlog.WriteLogger(Writing(out)),
                HidingLogger,
            ):
                out = io.StringIO()
                bound = structlog.wrap_logger(make(out), processors=[structlog.dev.ConsoleRenderer(colors=False)])  # type: ignore[no-untyped-call,arg-type]
                bound.info(f"pin {SECRET}", card=SECRET)
                assert not [one for one in SPELLINGS if one in out.getvalue()], (traced, make)
                assert "***" in out.getvalue()
        if undo:
            undo()
