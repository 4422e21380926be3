"""`tracebaton timeline --follow`, in a process of its own."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Timeline

    Start = Callable[..., Timeline]
    MakeLine = Callable[..., str]


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


class TestFiles:
    def test_grows(self, start_timeline: Start, tmp_path: Path, make_line: MakeLine, trace: str) -> None:
        """What is there comes first, in order; then each new line of each file, until Ctrl-C."""
        a, b = tmp_path / "a.log", tmp_path / "b.log"
        a.write_text(make_line(2, "second"))
        b.write_text(make_line(1, "first", service="backend") + make_line(3, "other", trace_id="f" * 32))
        timeline = start_timeline(trace, "--follow", "a.log", "b.log")
        lines = timeline.read_until("second")
        assert lines[0].rstrip().endswith("2 lines, 2 services, 1.0 ms so far")
        assert [line.split()[-1] for line in lines[2:]] == ["first", "second"]
        append(b, make_line(4, "third", service="backend"))
        timeline.read_until("third")
        append(a, "text\n" + make_line(5, "fourth")[:40])
        append(a, make_line(5, "fourth")[40:])
        assert timeline.read_until("fourth")[-1].startswith("  20:17:09.005000      +4.0 ms  agent-a  INFO")
        status, err = timeline.interrupt()
        assert status == 130
        assert err == "1 line without JSON passed over, 1 of them between lines of this trace (a.log: 1)\n"

    def test_rotated(self, start_timeline: Start, tmp_path: Path, make_line: MakeLine, trace: str) -> None:
        """A file of the same name is read from its start, and so is one that was truncated."""
        log = tmp_path / "a.log"
        log.write_text(make_line(0, "before") + "cut of")
        timeline = start_timeline(trace, "-f", "a.log")
        timeline.read_until("before")
        log.rename(tmp_path / "a.log.1")
        append(tmp_path / "a.log.1", "f\n" + make_line(1, "last-of-the-old"))
        log.write_text(make_line(2, "first-of-the-new"))
        timeline.read_until("first-of-the-new")
        assert any("last-of-the-old" in line for line in timeline.lines)
        os.truncate(log, 0)
        append(log, make_line(3, "anew"))
        timeline.read_until("anew")

    def test_traceback(self, start_timeline: Start, tmp_path: Path, make_line: MakeLine, trace: str) -> None:
        """Lines below that are written at once are part of the line."""
        log = tmp_path / "a.log"
        log.write_text("")
        timeline = start_timeline(trace, "-f", "a.log")
        append(log, make_line(0, "boom") + "Traceback (most recent call last):\n  File\nValueError: no\n")
        assert timeline.read_until("ValueError")[-1] == "      │ ValueError: no\n"


class TestStdin:
    def test_ends(self, start_timeline: Start, make_line: MakeLine, trace: str) -> None:
        """Lines are printed as they come, in the order of their times where they come closely; ends with stdin."""
        timeline = start_timeline(trace[:8], "-f", "-", "--json")
        timeline.write(make_line(0, "zero"))
        timeline.read_until("zero")
        timeline.write(make_line(2, "two") + make_line(1, "one"))
        timeline.read_until("two")
        assert [json.loads(line)["message"] for line in timeline.lines] == ["zero", "one", "two"]
        timeline.write(make_line(3, "three", trace_id=trace[:8] + "0" * 24))
        _, err = timeline.process.communicate(timeout=20)
        assert timeline.process.returncode == 0
        assert "1 line of other traces that begin like this left out" in err

    def test_ambiguous(self, start_timeline: Start, make_line: MakeLine) -> None:
        timeline = start_timeline("aaaa", "-f", "-")
        timeline.write(make_line(0, "x", trace_id="a" * 32) + make_line(0, "x", trace_id="aaaab" + "a" * 27))
        out, err = timeline.process.communicate(timeout=20)
        assert (timeline.process.returncode, out) == (1, "")
        assert "aaaa begins the ids of 2 traces" in err

    def test_nothing(self, start_timeline: Start, trace: str) -> None:
        timeline = start_timeline(trace, "-f", "-")
        _, err = timeline.process.communicate("x\n", timeout=20)
        assert timeline.process.returncode == 1
        assert "there is no line of trace" in err


def test_reader_leaves(start_timeline: Start, tmp_path: Path, make_line: MakeLine, trace: str) -> None:
    """Ends, quietly, when the other end of its pipe is closed, although there is nothing to write."""
    (tmp_path / "a.log").write_text(make_line(0, "only"))
    timeline = start_timeline(trace, "-f", "a.log")
    timeline.read_until("only")
    assert timeline.process.stdout is not None
    timeline.process.stdout.close()
    assert timeline.process.wait(20) == 0
    assert timeline.process.stderr is not None
    assert timeline.process.stderr.read() == ""


def test_unreadable(start_timeline: Start, make_line: MakeLine, trace: str) -> None:
    """One that cannot be read hides no other; if there is no other, there is nothing to follow."""
    timeline = start_timeline(trace, "-f", "missing.log", "-")
    _, err = timeline.process.communicate(make_line(0, "x"), timeout=20)
    assert timeline.process.returncode == 2
    assert "cannot read missing.log" in err
    assert start_timeline(trace, "-f", "missing.log").process.wait(20) == 2
