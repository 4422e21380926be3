"""What handlers, streams and records of an application's own hide is in no line, however its JSON would be spelled."""

from __future__ import annotations

import io
import json
import logging
import logging.handlers
import queue
import sys
from copy import copy
from typing import TYPE_CHECKING, Any

import pytest

from tracebaton_configurator.logs import hook

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TEXT = "%(levelname)s %(message)s"
SECRET = 'hü"nter2'  # noqa: S105 (in JSON it reads differently)

SPELLINGS = (SECRET, json.dumps(SECRET)[1:-1])


def hidden(text: str) -> str:
    return text.replace(SECRET, "***")


def scrubbed(record: logging.LogRecord, *, extras: bool = False) -> logging.LogRecord:
    """A copy of the record with nothing to hide, but for the extras that its format does not show."""
    made = copy(record)
    made.msg, made.args = hidden(record.getMessage()), None
    if record.exc_info:
        made.exc_info, made.exc_text = None, hidden(logging.Formatter().formatException(record.exc_info))
    made.stack_info = hidden(record.stack_info or "") or None
    if extras:
        made.__dict__["card"] = "***"
    return made


def streams(path: Path) -> Any:
    return path.open("a", encoding="utf-8")


VARIANTS: dict[str, Any] = {}


def variant(setup: Any) -> Any:
    VARIANTS[setup.__name__] = setup
    return setup


def add(logger: logging.Logger, handler: logging.Handler) -> logging.Handler:
    handler.setFormatter(logging.Formatter(TEXT))
    logger.addHandler(handler)
    return handler


@variant
def emit_that_formats(logger: logging.Logger, path: Path) -> None:
    class Own(logging.StreamHandler):  # type: ignore[type-arg]
        def emit(self, record: logging.LogRecord) -> None:
            self.stream.write(hidden(self.format(record)) + "\n")
            self.flush()

    add(logger, Own(streams(path)))


@variant
def emit_of_a_file_that_formats(logger: logging.Logger, path: Path) -> None:
    class Own(logging.FileHandler):
        def emit(self, record: logging.LogRecord) -> None:
            self.stream.write(hidden(self.format(record)) + "\n")
            self.flush()

    add(logger, Own(path, encoding="utf-8"))


@variant
def emit_from_the_record(logger: logging.Logger, path: Path) -> None:
    class Own(logging.StreamHandler):  # type: ignore[type-arg]
        def emit(self, record: logging.LogRecord) -> None:
            self.stream.write(f"{record.levelname} {hidden(record.getMessage())}\n")
            self.flush()

    add(logger, Own(streams(path)))


@variant
def emit_of_a_copy_by_super(logger: logging.Logger, path: Path) -> None:
    class Own(logging.StreamHandler):  # type: ignore[type-arg]
        def emit(self, record: logging.LogRecord) -> None:
            super().emit(scrubbed(record))

    add(logger, Own(streams(path)))


@variant
def emit_of_a_copy_by_class(logger: logging.Logger, path: Path) -> None:
    class Own(logging.handlers.RotatingFileHandler):
        def emit(self, record: logging.LogRecord) -> None:
            logging.StreamHandler.emit(self, scrubbed(record))

    add(logger, Own(path, encoding="utf-8"))


@variant
def emit_on_the_object(logger: logging.Logger, path: Path) -> None:
    handler: Any = add(logger, logging.StreamHandler(streams(path)))
    original = handler.emit
    handler.emit = lambda record: original(scrubbed(record))


@variant
def emit_on_the_class(logger: logging.Logger, path: Path) -> None:
    def emit(self: Any, record: logging.LogRecord) -> None:
        self.stream.write(hidden(self.format(record)) + "\n")
        self.flush()

    logging.StreamHandler.emit = emit  # type: ignore[method-assign]
    add(logger, logging.StreamHandler(streams(path)))


@variant
def emit_on_the_class_of_a_file(logger: logging.Logger, path: Path) -> None:
    emit_on_the_class(logger, path)
    logger.handlers.clear()
    add(logger, logging.FileHandler(path, encoding="utf-8"))


@variant
def emit_through_a_stream_in_memory(logger: logging.Logger, path: Path) -> None:
    class Own(logging.StreamHandler):  # type: ignore[type-arg]
        def emit(self, record: logging.LogRecord) -> None:
            stream, self.stream = self.stream, io.StringIO()
            super().emit(record)
            made, self.stream = self.stream.getvalue(), stream
            stream.write(hidden(made))
            stream.flush()

    add(logger, Own(streams(path)))


@variant
def emit_through_an_inner_handler(logger: logging.Logger, path: Path) -> None:
    class Own(logging.Handler):
        def __init__(self) -> None:
            super().__init__()
            self.inner = logging.StreamHandler(streams(path))
            self.inner.setFormatter(logging.Formatter(TEXT))

        def emit(self, record: logging.LogRecord) -> None:
            self.inner.stream.write(hidden(self.inner.format(record)) + "\n")
            self.inner.flush()

    add(logger, Own())


@variant
def handle_that_formats(logger: logging.Logger, path: Path) -> None:
    class Own(logging.StreamHandler):  # type: ignore[type-arg]
        def handle(self, record: logging.LogRecord) -> bool:
            self.stream.write(hidden(self.format(record)) + "\n")
            self.flush()
            return True

    add(logger, Own(streams(path)))


@variant
def handle_of_a_copy(logger: logging.Logger, path: Path) -> None:
    class Own(logging.StreamHandler):  # type: ignore[type-arg]
        def handle(self, record: logging.LogRecord) -> Any:
            return super().handle(scrubbed(record))

    add(logger, Own(streams(path)))


@variant
def handle_on_the_object(logger: logging.Logger, path: Path) -> None:
    handler: Any = add(logger, logging.StreamHandler(streams(path)))
    original = handler.handle
    handler.handle = lambda record: original(scrubbed(record))


@variant
def handle_on_the_class(logger: logging.Logger, path: Path) -> None:
    original = logging.Handler.handle
    logging.Handler.handle = lambda self, record: original(self, scrubbed(record))  # type: ignore[method-assign]
    add(logger, logging.StreamHandler(streams(path)))


@variant
def format_on_the_object(logger: logging.Logger, path: Path) -> None:
    handler: Any = add(logger, logging.StreamHandler(streams(path)))
    original = handler.format
    handler.format = lambda record: hidden(original(record))


@variant
def flush_of_a_stream_in_memory(logger: logging.Logger, path: Path) -> None:
    class Own(logging.StreamHandler):  # type: ignore[type-arg]
        def flush(self) -> None:
            with streams(path) as out:
                out.write(hidden(self.stream.getvalue()))
            self.stream = io.StringIO()

    add(logger, Own(io.StringIO()))


@variant
def write_of_a_wrapper(logger: logging.Logger, path: Path) -> None:
    class Wrapper:
        def __init__(self, inner: Any) -> None:
            self.inner = inner

        def write(self, text: str) -> None:
            self.inner.write(hidden(text))

        def __getattr__(self, name: str) -> Any:
            return getattr(self.inner, name)

    add(logger, logging.StreamHandler(Wrapper(streams(path))))  # type: ignore[arg-type]


@variant
def write_of_a_subclass(logger: logging.Logger, path: Path) -> None:
    class Own(io.TextIOWrapper):
        def write(self, text: str) -> int:
            return super().write(hidden(text))

    add(logger, logging.StreamHandler(Own(path.open("ab"), encoding="utf-8")))


@variant
def write_on_the_object(logger: logging.Logger, path: Path) -> None:
    stream = streams(path)
    original = stream.write
    stream.write = lambda text: original(hidden(text))
    add(logger, logging.StreamHandler(stream))


@variant
def write_of_the_bytes_below(logger: logging.Logger, path: Path) -> None:
    class Own(io.FileIO):
        def write(self, data: Any) -> int:
            super().write(hidden(bytes(data).decode()).encode())
            return len(data)

    add(logger, logging.StreamHandler(io.TextIOWrapper(io.BufferedWriter(Own(path, "ab")), encoding="utf-8")))


@variant
def stdout_replaced(logger: logging.Logger, path: Path) -> None:
    write_of_a_wrapper(logger, path)
    (wrapping,) = logger.handlers
    sys.stdout = wrapping.stream  # type: ignore[attr-defined]
    logger.handlers.clear()
    add(logger, logging.StreamHandler(sys.stdout))


@variant
def open_of_a_file(logger: logging.Logger, path: Path) -> None:
    class Own(logging.FileHandler):
        def _open(self) -> Any:
            stream: Any = streams(path)
            original = stream.write
            stream.write = lambda text: original(hidden(text))
            return stream

    add(logger, Own(path, delay=True))


@variant
def record_factory(logger: logging.Logger, path: Path) -> None:
    class Own(logging.LogRecord):
        def getMessage(self) -> str:  # noqa: N802
            self.card = "***"
            return hidden(super().getMessage())

    def make(*given: Any, **named: Any) -> logging.LogRecord:
        record = Own(*given, **named)
        if record.exc_info:
            record.exc_text = hidden(logging.Formatter().formatException(record.exc_info))
        record.stack_info = hidden(record.stack_info or "")
        return record

    logging.setLogRecordFactory(make)
    add(logger, logging.StreamHandler(streams(path)))


@variant
def make_record(logger: logging.Logger, path: Path) -> None:
    original = logger.makeRecord
    logger.makeRecord = lambda *given, **named: scrubbed(original(*given, **named), extras=True)  # type: ignore[method-assign]
    add(logger, logging.StreamHandler(streams(path)))


@variant
def logger_handle(logger: logging.Logger, path: Path) -> None:
    original = logger.handle
    logger.handle = lambda record: original(scrubbed(record, extras=True))  # type: ignore[method-assign]
    add(logger, logging.StreamHandler(streams(path)))


@variant
def call_handlers(logger: logging.Logger, path: Path) -> None:
    original = logger.callHandlers
    logger.callHandlers = lambda record: original(scrubbed(record, extras=True))  # type: ignore[method-assign]
    add(logger, logging.StreamHandler(streams(path)))


@variant
def filter_in_place(logger: logging.Logger, path: Path) -> None:
    def scrub(record: logging.LogRecord) -> bool:
        record.__dict__.update(scrubbed(record, extras=True).__dict__)
        return True

    add(logger, logging.StreamHandler(streams(path))).addFilter(scrub)


@variant
def filter_that_replaces(logger: logging.Logger, path: Path) -> None:
    if sys.version_info < (3, 12):
        pytest.skip("filters replace records from 3.12 on")
    handler = add(logger, logging.StreamHandler(streams(path)))
    handler.addFilter(lambda record: scrubbed(record, extras=True))  # type: ignore[arg-type,return-value]


@variant
def queue_prepare(logger: logging.Logger, path: Path) -> Callable[[], object]:
    class Own(logging.handlers.QueueHandler):
        def prepare(self, record: logging.LogRecord) -> Any:
            return super().prepare(scrubbed(record, extras=True))

    waiting: Any = queue.SimpleQueue()
    listener = logging.handlers.QueueListener(waiting, add(logging.Logger("x"), logging.StreamHandler(streams(path))))
    listener.start()
    logger.addHandler(Own(waiting))
    return listener.stop


@variant
def queue_with_a_formatter(logger: logging.Logger, path: Path) -> Callable[[], object]:
    class Own(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return hidden(super().format(record) + f" card={record.card}")  # type: ignore[attr-defined]

    waiting: Any = queue.SimpleQueue()
    target = add(logging.Logger("x"), logging.StreamHandler(streams(path)))
    listener = logging.handlers.QueueListener(waiting, target)
    listener.start()
    handler = logging.handlers.QueueHandler(waiting)
    handler.setFormatter(Own())
    logger.addHandler(handler)
    return listener.stop


@variant
def memory_target(logger: logging.Logger, path: Path) -> Callable[[], object]:
    emit_that_formats(logger, path)
    (target,) = logger.handlers
    handler = logging.handlers.MemoryHandler(10, target=target)
    logger.handlers[:] = [handler]
    return handler.flush


def formatter_of(method: str) -> Any:
    def setup(logger: logging.Logger, path: Path) -> None:
        class Own(logging.Formatter):
            def formatStack(self, stack_info: str) -> str:  # noqa: N802
                return hidden(super().formatStack(stack_info))

            def formatException(self, ei: Any) -> str:  # noqa: N802
                return hidden(super().formatException(ei))

            def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
                record.message = hidden(record.message)
                return super().formatTime(record, datefmt)

            def usesTime(self) -> bool:  # noqa: N802
                return True

        if method == "usesTime":

            def uses_time(self: Any) -> bool:
                frame = sys._getframe(1)
                frame.f_locals["record"].message = hidden(frame.f_locals["record"].message)
                return False

            Own.usesTime = uses_time  # type: ignore[method-assign]
        handler = add(logger, logging.StreamHandler(streams(path)))
        handler.setFormatter(Own(TEXT))

    return setup


VARIANTS["formatTime"] = formatter_of("formatTime")
VARIANTS["usesTime"] = formatter_of("usesTime")


@variant
def json_logger_fields(logger: logging.Logger, path: Path) -> None:
    from pythonjsonlogger.json import JsonFormatter

    class Own(JsonFormatter):
        def add_fields(self, log_data: Any, record: logging.LogRecord, message_dict: Any) -> None:
            super().add_fields(log_data, record, message_dict)
            log_data.pop("card", None)
            for name, value in log_data.items():
                log_data[name] = hidden(str(value))

    add(logger, logging.StreamHandler(streams(path))).setFormatter(Own("%(message)s"))


@variant
def json_logger_process(logger: logging.Logger, path: Path) -> None:
    from pythonjsonlogger.json import JsonFormatter

    class Own(JsonFormatter):
        def process_log_record(self, log_data: Any) -> Any:
            return {name: hidden(str(value)) for name, value in log_data.items() if name != "card"}

    add(logger, logging.StreamHandler(streams(path))).setFormatter(
        Own("%(message)s", rename_fields={"message": "m"}, json_indent=2)
    )


@variant
def json_logger_reserved(logger: logging.Logger, path: Path) -> None:
    from pythonjsonlogger.core import RESERVED_ATTRS
    from pythonjsonlogger.json import JsonFormatter

    handler = add(logger, logging.StreamHandler(streams(path)))
    handler.setFormatter(JsonFormatter("%(levelname)s", reserved_attrs=[*RESERVED_ATTRS, "card"]))

    def strip(record: logging.LogRecord) -> bool:
        record.exc_info = record.stack_info = None
        return True

    handler.addFilter(strip)


def structlog_formatter(keep: bool) -> Any:  # noqa: FBT001
    def setup(logger: logging.Logger, path: Path) -> None:
        import structlog

        def redact(_: Any, __: str, event_dict: Any) -> Any:
            return {k: hidden(v) if isinstance(v, str) else v for k, v in event_dict.items()}

        handler = add(logger, logging.StreamHandler(streams(path)))
        handler.setFormatter(
            structlog.stdlib.ProcessorFormatter(
                processors=[
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    *([structlog.processors.StackInfoRenderer(), structlog.processors.format_exc_info] if keep else []),
                    redact,
                    structlog.dev.ConsoleRenderer(colors=False),
                ],
                foreign_pre_chain=[structlog.stdlib.ExtraAdder()],
            )
        )
        if not keep:
            handler.addFilter(lambda record: bool(record.__dict__.update(exc_info=None, stack_info=None)) or True)

    return setup


VARIANTS["structlog"] = structlog_formatter(keep=False)
VARIANTS["structlog_keep"] = structlog_formatter(keep=True)


@variant
def handle_error_that_says_nothing(logger: logging.Logger, path: Path) -> None:
    class Own(logging.StreamHandler):  # type: ignore[type-arg]
        def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
            self.stream.write("ERROR could not log ***\n")
            self.flush()

    def spoil(record: logging.LogRecord) -> bool:
        record.args = (1, 2, 3, SECRET)
        return True

    add(logger, Own(streams(path))).addFilter(spoil)


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    classes = (logging.StreamHandler, logging.Handler)
    before = [(one, name, value) for one in classes for name, value in vars(one).items() if callable(value)]
    factory, stdout = logging.getLogRecordFactory(), sys.stdout
    yield
    for one, name, value in before:
        setattr(one, name, value)
    logging.setLogRecordFactory(factory)
    sys.stdout = stdout


def printed_by(setup: Any, path: Path, message: Any) -> str:
    logger = logging.Logger("app")
    logger.findCaller = lambda *_: ("f.py", 1, "f", f"Stack (most recent call last):\n  {SECRET}")  # type: ignore[method-assign,assignment]
    end = setup(logger, path)
    try:
        raise ValueError(f"no {SECRET}")
    except ValueError:
        logger.exception(*message, extra={"card": SECRET})
    if end:
        end()
    for handler in logger.handlers:
        handler.flush()
    return path.read_text(encoding="utf-8")


MESSAGES: dict[str, Any] = {"text": (f"pin {SECRET} of %s", SECRET), "dict": ({"pin_": SECRET},)}


@pytest.mark.parametrize("mode", ["json", "inject"])
@pytest.mark.parametrize("message", MESSAGES)
@pytest.mark.parametrize("name", VARIANTS)
def test_it_stays_hidden(tmp_path: Path, name: str, message: str, mode: str) -> None:
    if (name, message) == ("json_logger_reserved", "dict"):
        pytest.skip("shows what is in the dict")
    plain = printed_by(VARIANTS[name], tmp_path / "plain", MESSAGES[message])
    assert not [one for one in SPELLINGS if one in plain]
    undo = hook.install(mode, "shop")
    try:
        traced = printed_by(VARIANTS[name], tmp_path / "traced", MESSAGES[message])
    finally:
        undo()
    assert not [one for one in SPELLINGS if one in traced]
    assert ("***" in traced) == ("***" in plain)
    assert traced
    if mode == "inject" and "File" not in plain:  # a stack has the frames of the hook
        assert traced == plain
