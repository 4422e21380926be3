"""OpenTelemetry's diagnostics become few lines of the logger `tracebaton`, told off the request path."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

import pytest
from opentelemetry import trace

from tracebaton_configurator.logs import diagnostics, own
from tracebaton_configurator.logs.limit import RateLimit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

IN_A_REQUEST = trace.NonRecordingSpan(trace.SpanContext(1, 2, is_remote=False))


class Said(logging.Handler):
    """What `tracebaton` printed, and by which thread."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.threads: list[str] = []
        self.came = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.levelname} {record.getMessage()}")
        self.threads.append(threading.current_thread().name)
        self.came.set()


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Iterator[Said]:
    monkeypatch.setattr(diagnostics, "_limit", RateLimit(60))
    upstream, ours = logging.getLogger("opentelemetry"), logging.getLogger(own.NAME)
    before = upstream.handlers[:], upstream.propagate, ours.handlers[:], ours.propagate
    # Other tests configure logging as applications do, which switches off the loggers that exist by then.
    monkeypatch.setattr(logging.getLogger("opentelemetry.sdk.trace"), "disabled", False)
    handler = Said()
    ours.handlers[:], ours.propagate = [handler], False
    diagnostics.install()
    yield handler
    upstream.handlers[:], upstream.propagate, ours.handlers[:], ours.propagate = before


def test_the_handler_serves_without_a_lock_on_every_python(said: Said) -> None:
    """3.13 and later enter `Handler.lock` in `handle`: a diagnostic in a request handler made it answer 500."""
    (handler,) = [one for one in logging.getLogger("opentelemetry").handlers if type(one).__name__ == "_Diagnostics"]
    assert handler.lock is None
    record = logging.makeLogRecord({"name": "opentelemetry.x", "levelno": logging.WARNING, "msg": "odd"})
    assert handler.handle(record)
    handler.addFilter(lambda record: record.msg != "odd")
    assert not handler.handle(record)
    assert said.lines == ["WARNING OpenTelemetry (x): odd"]


def test_a_complaint_is_a_line_of_ours_and_of_nobody_else(said: Said) -> None:
    others = Said()
    logging.getLogger().addHandler(others)
    try:
        logging.getLogger("opentelemetry.sdk.trace").warning("Invalid type %s", "set")
    finally:
        logging.getLogger().removeHandler(others)
    assert said.lines == ["WARNING OpenTelemetry (sdk.trace): Invalid type set"]
    assert others.lines == []


def test_its_exception_is_named(said: Said) -> None:
    try:
        raise ValueError("no")
    except ValueError:
        logging.getLogger("opentelemetry.sdk.trace").exception("Failed")
    assert said.lines == ["ERROR OpenTelemetry (sdk.trace): Failed: ValueError: no"]


def test_repeats_are_held_back_and_counted(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(diagnostics, "_limit", RateLimit(60, lambda: now[0]))
    logger = logging.getLogger("opentelemetry.sdk.trace")
    for number in range(5):
        logger.warning("Dropped %d", number)
    assert diagnostics.shutdown_summary() == "4 more diagnostics like those above were held back."
    now[0] = 61.0
    logger.warning("Dropped %d", 5)
    assert [line.split(": ", 1)[1] for line in said.lines] == [
        "Dropped 0",
        "Dropped 5 (4 more like this were held back)",
    ]
    assert diagnostics.shutdown_summary() is None


def test_in_a_request_another_thread_does_the_talking(said: Said) -> None:
    with trace.use_span(IN_A_REQUEST):
        logging.getLogger("opentelemetry.sdk.trace").warning("Slow sink")
    assert said.came.wait(10)
    assert said.threads != [threading.current_thread().name]


def test_one_thread_talks_whatever_there_is_to_say(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[threading.Thread] = []
    may_go_on = threading.Event()

    class Counted:
        @staticmethod
        def start(target: Callable[[], None]) -> None:
            started.append(threading.Thread(target=lambda: may_go_on.wait(20) and target()))
            started[-1].start()

    monkeypatch.setattr(diagnostics.os_threads, "Thread", Counted)
    with trace.use_span(IN_A_REQUEST):
        for number in range(50):
            logging.getLogger("opentelemetry.sdk.trace").warning(f"Slow sink {number}")  # noqa: G004 (kinds of their own)
    may_go_on.set()
    (thread,) = started
    thread.join(20)
    assert len(said.lines) == 50


def test_debug_and_info_are_left_out(said: Said) -> None:
    logger = logging.getLogger("opentelemetry.sdk.trace")
    logger.setLevel(logging.DEBUG)
    logger.debug("x")
    logger.info("x")
    logger.setLevel(logging.NOTSET)
    assert said.lines == []


def test_a_broken_complaint_is_said_all_the_same(said: Said) -> None:
    record = logging.makeLogRecord({"name": "opentelemetry.sdk.trace", "levelno": 30, "msg": "%d", "args": ("x",)})
    # Not through the logger: pytest listens there as well, and raises.
    diagnostics._Diagnostics(logging.WARNING).handle(record)
    assert said.lines == ["WARNING OpenTelemetry (sdk.trace): '%d'"]


def test_an_application_that_configures_the_logger_itself_has_it_back(said: Said) -> None:
    import logging.config

    logging.config.dictConfig(
        {"version": 1, "disable_existing_loggers": False, "loggers": {"opentelemetry": {"handlers": []}}}
    )
    logging.getLogger("opentelemetry.sdk.trace").warning("x")
    assert said.lines == []
