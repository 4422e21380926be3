"""`tracebaton timeline` with files and stdin, as a command."""

from __future__ import annotations

import gzip
import json
import os
import pty
import re
import select
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Timeline

    Start = Callable[..., Timeline]
    Run = Callable[..., subprocess.CompletedProcess[str]]
    MakeLine = Callable[..., str]

_TRACEBACK = 'Traceback (most recent call last):\n  File "a.py", line 1, in f\n    g()\nValueError: no\n'


@pytest.fixture
def three(tmp_path: Path, make_line: MakeLine) -> list[str]:
    """The logs of a chain of three, the last of which fails."""
    a = [make_line(0, "chat received"), make_line(14, "failed", level="ERROR", exc_info="Traceback\nValueError: no")]
    b = [make_line(3, "asked", service="backend", span=2), make_line(11, "gave up", service="backend", span=2)]
    c = [make_line(6, "thinking", service="agent-b", span=3), make_line(10.5, "no idea", service="agent-b", span=3)]
    other = make_line(5, "another trace", trace_id="f" * 32)
    for name, lines in (("a.log", [*a, other]), ("b.log", [other, *b]), ("c.log", c)):
        (tmp_path / name).write_text("".join(lines))
    return ["c.log", "b.log", "a.log"]


class TestRows:
    def test_order_and_hops(self, run_timeline: Run, three: list[str], trace: str) -> None:
        """Lines of all files by their times, each indented by its hop, an error marked, its exception below."""
        done = run_timeline(trace, *three)
        assert done.returncode == 0
        assert done.stdout == (
            f"trace {trace}  2026-11-22 UTC  6 lines, 3 services, 14.0 ms, 1 error\n"
            "\n"
            "  20:17:09.000000      +0.0 ms  agent-a  INFO     chat received\n"
            "  20:17:09.003000      +3.0 ms  backend  INFO       asked\n"
            "  20:17:09.006000      +6.0 ms  agent-b  INFO         thinking\n"
            "  20:17:09.010500     +10.5 ms  agent-b  INFO         no idea\n"
            "  20:17:09.011000     +11.0 ms  backend  INFO       gave up\n"
            "! 20:17:09.014000     +14.0 ms  agent-a  ERROR    failed\n"
            "      │ Traceback\n"
            "      │ ValueError: no\n"
        )
        assert done.stderr == ""

    def test_hostile_line(self, run_timeline: Run, make_line: MakeLine, trace: str) -> None:
        """A line drives neither the terminal nor the layout, and bytes that are no text are shown as such."""
        bad = make_line(0, "\x1b[2J[bold]x[/bold]\u202e\n20:17:09.000000 forged\ud800").encode()
        raw = make_line(1, "BYTES").encode().replace(b"BYTES", b"\xff\x00\x1b")
        done = run_timeline(trace, "-", stdin=bad + raw)
        assert done.stdout.splitlines()[2:] == [
            r"  20:17:09.000000      +0.0 ms  agent-a  INFO     \x1b[2J[bold]x[/bold]\u202e",
            r"      │ 20:17:09.000000 forged\ud800",
            r"  20:17:09.001000      +1.0 ms  agent-a  INFO     \xff\x00\x1b",
        ]

    def test_narrow_encoding(self, run_timeline: Run, make_line: MakeLine, trace: str) -> None:
        """A stdout that is not UTF-8 is no reason to fail."""
        line = make_line(0, "é ✓", exc_info="below").encode()
        done = run_timeline(trace, "-", stdin=line, PYTHONIOENCODING="ascii", PYTHONUTF8="0")
        assert done.returncode == 0
        assert r"\xe9 \u2713" in done.stdout
        assert "      | below" in done.stdout

    def test_next_day(self, run_timeline: Run, make_line: MakeLine, trace: str) -> None:
        late = make_line(0, "late", timestamp="2026-11-23T00:00:01Z")
        done = run_timeline(trace, "-", stdin=(late + make_line(0, "early")).encode())
        assert [line.strip() for line in done.stdout.splitlines()[3:]] == [
            "2026-11-23 UTC",
            "00:00:01.000000  +13372.000 s  agent-a  INFO     late",
        ]

    def test_terminal(self, tmp_path: Path, three: list[str], trace: str) -> None:
        """A terminal gets an error in red, and the escapes of nobody else."""
        text = _in_terminal(tmp_path, trace, *three)
        assert "\x1b[1;31mfailed\x1b[0m" in text
        assert "agent-b" in re.sub(r"\x1b\[[0-9;]*m", "", text)

    def test_no_color(self, tmp_path: Path, three: list[str], trace: str) -> None:
        assert "31m" not in _in_terminal(tmp_path, trace, *three, NO_COLOR="1")


class TestJson:
    def test_fields(self, run_timeline: Run, three: list[str], trace: str) -> None:
        """One object a line, with these keys, which scripts rely on; the summary is on stderr."""
        done = run_timeline(trace, "--json", *three)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        assert [line["message"] for line in lines][:2] == ["chat received", "asked"]
        original = lines[-1].pop("original")
        assert original["trace_flags"] == "01"
        assert lines[-1] == {
            "time": "2026-11-22T20:17:09.014000Z",
            "offset_ms": 14.0,
            "service": "agent-a",
            "level": "ERROR",
            "logger": "agent",
            "message": "failed",
            "exception": "Traceback\nValueError: no",
            "error": True,
            "hop": 0,
            "trace_id": trace,
            "span_id": "0000000000000001",
            "parent_span_id": None,
            "source": "a.log",
            "line_number": 2,
        }
        assert done.stderr == f"trace {trace}: 6 lines, 3 services, 14.0 ms, 1 error\n"

    def test_strict(self, run_timeline: Run, trace: str) -> None:
        """What JSON has no form for does not get into the output."""
        line = f'{{"trace_id": "{trace}", "a": NaN, "b": 1e999, "c": "\\ud800"}}\n'
        done = run_timeline(trace, "-", "--json", stdin=line.encode())

        def refuse(constant: str) -> None:
            raise AssertionError(constant)

        assert json.loads(done.stdout, parse_constant=refuse)["original"].startswith('{"trace_id"')


class TestIds:
    def test_prefix(self, run_timeline: Run, three: list[str], trace: str) -> None:
        done = run_timeline(trace[:6].upper(), *three)
        assert done.stdout.startswith(f"trace {trace} ")
        assert len(done.stdout.splitlines()) == 10

    def test_upper_case(self, run_timeline: Run, make_line: MakeLine, trace: str) -> None:
        """The argument and the log may each be in upper case."""
        upper = make_line(0, "upper", trace_id=trace.upper())
        done = run_timeline(trace.upper(), "-", stdin=(upper + make_line(1, "lower")).encode())
        assert "upper" in done.stdout
        assert "lower" in done.stdout

    def test_ambiguous_prefix(self, run_timeline: Run, make_line: MakeLine, trace: str) -> None:
        """Several traces begin like this: a sentence, and what tells the first of them apart."""
        ids = [f"391a{number:028x}" for number in range(1, 15)]
        lines = "".join(make_line(number, "x", trace_id=each) for number, each in enumerate(ids))
        done = run_timeline("391a", "-", stdin=lines.encode())
        assert done.returncode == 1
        assert done.stdout == ""
        sentence, *listed = done.stderr.splitlines()
        assert sentence == "tracebaton timeline: 391a begins the ids of 14 traces; give more digits"
        assert listed[0] == f"  {ids[0]}  from 2026-11-22T20:17:09.000000Z, 1 line of agent-a"
        assert len(listed) == 11
        assert listed[-1].strip() == "..."

    def test_prefix_elsewhere(self, run_timeline: Run, make_line: MakeLine) -> None:
        """Digits that begin something else, such as the time of each line, are no prefix of an id."""
        done = run_timeline("2026", "-", stdin=make_line(0, "x").encode())
        assert done.returncode == 1
        assert "there is no line of a trace that begins with 2026 among 1 line of 1 source" in done.stderr

    @pytest.mark.parametrize("given", ["abc", "xyz0", "0" * 32, "a" * 33, "", "39 1a"])
    def test_no_id(self, run_timeline: Run, given: str) -> None:
        done = run_timeline(given, "-")
        assert done.returncode == 2
        assert "trace id" in done.stderr

    def test_id_elsewhere(self, run_timeline: Run, make_line: MakeLine, trace: str) -> None:
        """A JSON line that holds the id in another field is not shown, and not silently so."""
        lines = make_line(0, "here") + make_line(1, f"see {trace}", trace_id=None)
        done = run_timeline(trace, "-", stdin=lines.encode())
        assert "1 line," in done.stdout
        assert done.stderr == (
            "1 line not shown, which holds the id, but not in a field for trace ids; the first is line 2 of stdin\n"
        )

    def test_line_of_text(self, run_timeline: Run, trace: str) -> None:
        """A line that is no JSON, but has the id in it, is one of the trace."""
        text = f"2026-11-22 20:17:09,013 ERROR [trace_id={trace}] agent: boom\n{_TRACEBACK}not part of it\n"
        done = run_timeline(trace, "-", stdin=text.encode())
        rows = done.stdout.splitlines()[2:]
        assert rows[0].startswith(
            "! 20:17:09.013000      +0.0 ms  -  ERROR    2026-11-22 20:17:09,013 ERROR [trace_id="
        )
        assert rows[1:] == [f"      │ {line}" for line in _TRACEBACK.splitlines()]
        assert done.stderr == "1 line without JSON passed over\n"


class TestSources:
    def test_options_between(self, run_timeline: Run, three: list[str], trace: str) -> None:
        assert len(run_timeline("--since", "2026-11-22", trace, "--json", *three).stdout.splitlines()) == 0
        done = run_timeline("--since", "2026-11-22T20:17:09.011Z", trace, "--json", *three, "--until", "4000000000")
        assert [json.loads(line)["message"] for line in done.stdout.splitlines()] == ["gave up", "failed"]

    @pytest.mark.parametrize(
        ("prefix", "stamp"),
        [
            ("agent-a-1  | ", ""),
            ("agent-a_1  | ", ""),
            ("agent-a-1  | ", "2026-11-22T20:17:10.5Z "),
            ("\x1b[36magent-a_1  |\x1b[0m ", ""),
            ("\x1b[36magent-a-1  | \x1b[0m", "2026-11-22T20:17:10.500000000Z "),
        ],
    )
    def test_compose_prefix(self, run_timeline: Run, make_line: MakeLine, trace: str, prefix: str, stamp: str) -> None:
        """Of `docker compose logs`, old and new, coloured or not, with times or without."""
        time = {} if not stamp else {"timestamp": None}
        line = make_line(1500, "x", **{"service.name": None}, **time)
        text = f"{prefix}{stamp}plain\n{prefix}{stamp}{line}"
        done = run_timeline(trace, "--json", "-", stdin=text.encode())
        row = json.loads(done.stdout)
        assert (row["service"], row["time"]) == ("agent-a", "2026-11-22T20:17:10.500000Z")
        assert "1 line without JSON passed over\n" in done.stderr

    def test_traceback_among_others(self, run_timeline: Run, make_line: MakeLine, trace: str) -> None:
        """The traceback below a line of its container, although Compose has put lines of others in between."""
        log = f"a-1  | {make_line(0, 'boom')}"
        for line in _TRACEBACK.splitlines():
            log += f"b-1  | {make_line(9, 'noise', trace_id='f' * 32)}a-1  | {line}\n"
        done = run_timeline(trace, "-", stdin=(log + "a-1  | print of the app\n").encode())
        assert done.stdout.splitlines()[3:] == [f"      │ {line}" for line in _TRACEBACK.splitlines()]
        assert done.stderr == "1 line without JSON passed over\n"

    def test_json_file(self, run_timeline: Run, make_line: MakeLine, tmp_path: Path, trace: str) -> None:
        """Docker's own log files: escaped, with a time of their own, and long lines in pieces."""
        line = make_line(0, "long", exc_info="x" * 40_000, timestamp=None)
        pieces = [line[start : start + 16384] for start in range(0, len(line), 16384)]
        with (tmp_path / "id-json.log").open("w") as file:
            for text in ("plain\n", *pieces, "plain\n", make_line(9000, "later")):
                file.write(
                    json.dumps(
                        {"log": text, "stream": "stdout", "time": "2026-11-22T20:17:09.5Z"}, separators=(",", ":")
                    )
                    + "\n"
                )
        done = run_timeline(trace, "--json", "id-json.log")
        rows = [json.loads(row) for row in done.stdout.splitlines()]
        assert [(row["message"], row["time"][17:22]) for row in rows] == [("long", "09.50"), ("later", "18.00")]
        assert rows[0]["exception"] == "x" * 40_000
        assert "2 lines without JSON passed over, 1 of them between lines of this trace (id-json.log: 1)" in done.stderr

    def test_gzip(self, run_timeline: Run, make_line: MakeLine, tmp_path: Path, trace: str) -> None:
        """A rotated file, of two gzip members; its service is in its name."""
        members = (
            gzip.compress(make_line(0, "one", **{"service.name": None}).encode()),
            gzip.compress(make_line(1, "two").encode()),
        )
        (tmp_path / "agent-z.log.1.gz").write_bytes(b"".join(members))
        done = run_timeline(trace, "agent-z.log.1.gz")
        assert [row.split()[3:] for row in done.stdout.splitlines()[2:]] == [
            ["agent-z", "INFO", "one"],
            ["agent-a", "INFO", "two"],
        ]

    def test_named_pipe(self, start_timeline: Start, make_line: MakeLine, tmp_path: Path, trace: str) -> None:
        """A pipe with a name is opened once: whoever writes to it must not lose its reader."""
        os.mkfifo(tmp_path / "pipe")
        timeline = start_timeline(trace, "pipe")
        with (tmp_path / "pipe").open("w") as pipe:
            pipe.write(make_line(0, "through the pipe"))
        assert "through the pipe" in timeline.read_until("through the pipe")[-1]

    def test_project_and_files(self, run_timeline: Run, three: list[str], trace: str) -> None:
        """An option without a meaning here is said to be one, and loses nothing."""
        done = run_timeline(trace, *three, "--project", "x")
        assert done.returncode == 0
        assert "--project is about containers; as FILEs are given, it has no effect" in done.stderr

    def test_unreadable_ones(self, run_timeline: Run, three: list[str], tmp_path: Path, trace: str) -> None:
        """What cannot be read hides nothing else, and makes the status 2."""
        (tmp_path / "cut.gz").write_bytes(gzip.compress(b"x" * 10_000)[:-12])
        done = run_timeline(trace, "missing.log", ".", "cut.gz", *three)
        assert done.returncode == 2
        assert "6 lines, 3 services" in done.stdout
        assert "cannot read missing.log: No such file or directory" in done.stderr
        assert "cannot read .: Is a directory" in done.stderr
        assert "cut.gz ends in the middle of its gzip data" in done.stderr

    def test_nothing_found(self, run_timeline: Run, make_line: MakeLine) -> None:
        done = run_timeline("ab" * 16, "-", stdin=b"text\ntext\n")
        assert (done.returncode, done.stdout) == (1, "")
        assert f"no line of trace {'ab' * 16} among 2 lines of 1 source; none of them is JSON" in done.stderr

    def test_between(self, run_timeline: Run, make_line: MakeLine, trace: str) -> None:
        """Lines without JSON are counted, and of those between lines of the trace it is said where."""
        text = (
            "a\n"
            + make_line(0, "x")
            + "b\n"
            + make_line(1, "other", trace_id="f" * 32)
            + "c\n"
            + make_line(2, "y")
            + "d"
        )
        done = run_timeline(trace, "-", stdin=text.encode())
        assert done.stderr == "4 lines without JSON passed over, 2 of them between lines of this trace (stdin: 2)\n"

    def test_closed_pipe(self, tmp_path: Path, make_line: MakeLine, trace: str) -> None:
        """`... | head -1` ends quietly."""
        (tmp_path / "a.log").write_text("".join(make_line(ms, "x" * 1000) for ms in range(2000)))
        command = f"{sys.executable} -m tracebaton.cli timeline {trace} a.log | head -1"
        done = subprocess.run(
            ["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
        )
        assert done.stdout.startswith(f"trace {trace}")
        assert done.stderr == ""

    def test_closed_streams(self, tmp_path: Path, trace: str) -> None:
        """Started without stdin or stdout: a sentence, no traceback."""
        for closed, sentence in (("<&-", "cannot read stdin"), (">&-", "")):
            command = f"{sys.executable} -m tracebaton.cli timeline {trace} - {closed}"
            done = subprocess.run(
                ["sh", "-c", command],
                cwd=tmp_path,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
                stdin=subprocess.DEVNULL,
            )
            assert "Traceback" not in done.stderr
            assert sentence in done.stderr
            assert done.returncode in {1, 2}


def _in_terminal(directory: Path, *arguments: str, **environ: str) -> str:
    """Run the command with a pseudo-terminal for stdout; return what it writes there."""
    ours, theirs = pty.openpty()
    left_out = ("NO_COLOR", "FORCE_COLOR", "TTY_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    process = subprocess.Popen(
        [sys.executable, "-m", "tracebaton.cli", "timeline", *arguments],
        stdout=theirs,
        stderr=theirs,
        stdin=subprocess.DEVNULL,
        cwd=directory,
        env={**inherited, "TERM": "xterm-256color", "PYTHONUTF8": "1", **environ},
    )
    os.close(theirs)
    written = b""
    try:
        while select.select([ours], [], [], 30)[0]:
            try:
                block = os.read(ours, 65536)
            except OSError:  # Linux says so when the other end is closed
                break
            if not block:
                break
            written += block
    finally:
        os.close(ours)
        process.kill()
        process.wait()
    return written.decode()
