"""One line when delivery stops, one when it is back; never one a batch."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from tracebaton_configurator.export.export_status import ExportStatus

if TYPE_CHECKING:
    from collections.abc import Iterator


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def status(clock: Clock) -> ExportStatus:
    return ExportStatus("http://c:4317", "in memory", clock)


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """What the logger `tracebaton` says."""
    said: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(f"{record.levelname} {record.getMessage()}")

    handler = Keep()
    logging.getLogger("tracebaton").addHandler(handler)
    yield said
    logging.getLogger("tracebaton").removeHandler(handler)


def test_an_hour_is_two_lines(status: ExportStatus, clock: Clock, lines: list[str]) -> None:
    for _ in range(720):
        status.failed("connection refused")
        clock.now += 5
    assert status.active
    status.waited, status.lost = 900, 20
    status.over()
    assert not status.active
    assert lines == [
        "WARNING Spans cannot be delivered to http://c:4317: connection refused."
        " They wait in memory and will be retried.",
        "INFO Spans are delivered to http://c:4317 again, after 3600 s: 900 waited, 20 were lost.",
    ]
    assert status.last_error == "connection refused"


def test_a_single_failure_is_no_line(status: ExportStatus, lines: list[str]) -> None:
    status.failed("reset")
    status.over()
    status.over()
    assert lines == []


@pytest.mark.parametrize("failures", [1, 2, 3])
def test_an_hour_of_flapping_is_two_lines_a_minute(
    status: ExportStatus, clock: Clock, lines: list[str], failures: int
) -> None:
    for _ in range(1800):
        for _ in range(failures):
            status.failed("refused")
        status.lost += 1
        clock.now += 1
        status.over()
        clock.now += 1
    assert 0 < len(lines) <= 2 * 61


def test_the_end_of_a_process_is_quiet(status: ExportStatus, lines: list[str]) -> None:
    for _ in range(5):
        status.failed("refused", quiet=True)
    assert lines == []


def test_what_is_refused_is_said_once_a_minute(status: ExportStatus, clock: Clock, lines: list[str]) -> None:
    for _ in range(120):
        status.refused("INVALID_ARGUMENT", 3)
        status.left_out("", 2)
        status.warned("slow down")
        status.spool_failed(OSError(28, "No space left on device"))
        clock.now += 1
    assert lines[:4] == [
        "ERROR http://c:4317 refused 3 spans, which are lost: INVALID_ARGUMENT.",
        "ERROR http://c:4317 left 2 spans out of a batch: no reason.",
        "ERROR http://c:4317 took a batch and says: slow down.",
        "ERROR The spool cannot be used, spans wait in memory: OSError: No space left on device.",
    ]
    assert len(lines) == 8
    assert "(59 more such lines were held back)" in lines[4]


def test_a_forked_child_has_not_failed_yet(status: ExportStatus, lines: list[str]) -> None:
    status.failed("refused")
    status.failed("refused")
    status.forget()
    assert not status.active
    assert (status.waited, status.lost, status.last_error) == (0, 0, None)
    status.failed("refused")
    status.failed("refused")
    assert len(lines) == 2
