"""tracebaton.timeline.progress"""

from __future__ import annotations

import io
import sys
import time

import pytest

from tracebaton.timeline import progress
from tracebaton.timeline.progress import progress_bar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    monkeypatch.setenv("TERM", "xterm-256color")
    return now


def test_after_a_second(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing within the first second; then the bytes, and in the end nothing is left of it."""
    stderr = Terminal()
    monkeypatch.setattr(sys, "stderr", stderr)
    with progress_bar(10_000_000) as show:
        show(1_000_000)
        assert stderr.getvalue() == ""
        clock[0] += 1.5
        show(5_000_000)
        assert "5.0/10.0 MB" in stderr.getvalue()
    assert stderr.getvalue().endswith("\x1b[2K")


def test_no_terminal(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    with progress_bar(None) as show:
        clock[0] += 100
        show(5)
    assert stderr.getvalue() == ""


def test_unknown_total(monkeypatch: pytest.MonkeyPatch, clock: list[float]) -> None:
    """A pipe's size is not known."""
    stderr = Terminal()
    monkeypatch.setattr(sys, "stderr", stderr)
    with progress_bar(None) as show:
        clock[0] += time.get_clock_info("monotonic").resolution + 2
        show(5_000_000)
    assert "5.0/?" in stderr.getvalue()


def test_without_rich_there_is_none(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = Terminal()
    monkeypatch.setattr(sys, "stderr", stderr)
    monkeypatch.setitem(sys.modules, "rich", None)
    with progress_bar(1000) as show:
        clock[0] += 5
        show(500)
    assert stderr.getvalue() == ""
