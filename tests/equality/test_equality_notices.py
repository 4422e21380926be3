"""The harness itself: what differs is seen, of each kind, and what is declared is not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from equality_apps import App, all_apps
from equality_output import readable, record_differences, text_differences
from equality_together import compared
from equality_variants import DEFAULT, FULL

if TYPE_CHECKING:
    from harness import System

DEVIANT = {app.name: app for app in all_apps(Path(__file__).parent / "deviant")}
TRACEBACK = """Traceback (most recent call last):
  File "/app/a.py", line 1, in first
    second()
{frame}  File "/app/b.py", line 2, in second
    raise ValueError
ValueError
"""
FRAME = """  File "/lib/opentelemetry/instrumentation/asgi/__init__.py", line 9, in __call__
    await self.app(scope, receive, send)
          ^^^^^^^^
"""


def record(message: str, **more: str) -> str:
    import json

    return json.dumps({"timestamp": "2026-01-01T00:00:00Z", "level": "INFO", "logger": "a", "message": message, **more})


class TestRuns:
    def test_every_kind_of_difference(self, equality_system: System) -> None:
        found = compared(DEVIANT["differs-answers"], equality_system, [FULL])
        for kind in (
            "100 %: exit status 3, plain 0",
            "100 %: answer to first: at byte",
            "100 %: answer to kept connection, 0: at byte",
            "100 %: stdout lacks 'plain'",
            "100 %: stdout has 'traced'",
            "100 %: stdout has 'INFO:root:served True'",
            "100 %: the file plain is missing",
            "100 %: the file traced is there",
            "descriptors of the kind '/memfd:leak (deleted)'",
            "threads: ",
            "s of CPU until ready, plain",
            "100 %: 0 spans arrived, expected are 1",
        ):
            assert any(kind in one for one in found), (kind, found)

    def test_one_that_does_not_start(self, equality_system: System) -> None:
        (only,) = compared(DEVIANT["differs-vanishes"], equality_system, [DEFAULT])
        assert only == ("default: traced could not be run: RuntimeError: it ended with status 1 before it listened")


class TestRecords:
    """Lines that became JSON, beside the lines that they were made of."""

    def test_messages_at_the_ends_of_lines(self) -> None:
        plain = "INFO a: one\n2026 two\nlines\nprinted\n"
        traced = f"{record('two' + chr(10) + 'lines')}\nprinted\n{record('one')}\n"
        assert list(record_differences(plain, traced)) == []

    def test_a_short_message_does_not_take_a_longer_ones_place(self) -> None:
        assert list(record_differences("I: hi\nI: oh hi\n", f"{record('hi')}\n{record('oh hi')}\n")) == []

    @pytest.mark.parametrize(
        ("plain", "traced", "found"),
        [
            ("I: one\nI: one\n", [record("one")], ["lacks 'I: one'"]),
            ("I: one\n", [record("one"), record("one")], ["logs 'one'"]),
            ("I: one\n", [record("two")], ["logs 'two'", "lacks 'I: one'"]),
            ("I: one\n", ["I: two"], ["has 'I: two'", "lacks 'I: one'"]),
            ("I: one\ntext\n", [record("one")], ["lacks 'text'"]),
            ('{"a": 1}\n', ['{"a": 2, "trace_id": "x"}'], ["has '{\"a\": 2}'", "lacks '{\"a\": 1}'"]),
        ],
    )
    def test_what_is_not_the_same(self, plain: str, traced: list[str], found: list[str]) -> None:
        assert list(record_differences(plain, "\n".join([*traced, ""]))) == found

    def test_lines_that_were_json_gain_ids(self) -> None:
        assert list(record_differences('{"a": 1}\n', '{"a": 1, "trace_id": "x", "service.name": "b"}\n')) == []

    def test_tracebacks_have_frames_of_the_middleware(self) -> None:
        plain = readable(f"E: failed\n{TRACEBACK.format(frame='')}".encode(), own_lines=False)
        traced = f"{record('failed', exc_info=TRACEBACK.format(frame=FRAME).rstrip())}\n"
        assert list(record_differences(plain, traced)) == []
        other = f"{record('failed', exc_info=TRACEBACK.format(frame='').replace('b.py', 'c.py').rstrip())}\n"
        assert list(record_differences(plain, other)) != []


class TestText:
    def test_own_lines_and_frames_are_declared(self) -> None:
        traced = f"INFO: tracebaton: Tracing is on: so.\nE: failed\n{TRACEBACK.format(frame=FRAME)}"
        plain = f"E: failed\n{TRACEBACK.format(frame='')}"
        texts = [readable(one.encode(), own_lines=False) for one in (plain, traced)]
        assert list(text_differences(*texts, ordered=True)) == []

    def test_nothing_is_declared_of_what_is_silent(self) -> None:
        (only,) = text_differences("", readable(b"INFO: tracebaton: Tracing is on.\n", own_lines=True), ordered=True)
        assert only == "has 'INFO: tracebaton: Tracing is on.'"

    def test_order_counts_in_one_process(self) -> None:
        assert list(text_differences("a\nb\n", "b\na\n", ordered=True)) == ["the lines are the same, in another order"]
        assert list(text_differences("a\nb\n", "b\na\n", ordered=False)) == []

    def test_the_last_line_ends_as_it_did(self) -> None:
        assert list(text_differences("a", "a\n", ordered=True)) == ["differs in how it ends"]


class TestDescriptions:
    @pytest.mark.parametrize("text", ["print()\n", "# /// equality\n# command = []\n# comand = 1\n# ///\n"])
    def test_a_mistake_is_an_error(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "app.py").write_text(text)
        with pytest.raises(ValueError, match="app"):
            all_apps(tmp_path)

    def test_cases_replace(self, tmp_path: Path) -> None:
        (tmp_path / "app.toml").write_text('command = ["a"]\n[cases.x]\n[cases.y]\ncommand = ["b"]\nends = "SIGINT"\n')
        x, y = all_apps(tmp_path)
        assert (x.name, x.command, x.ended_by) == ("app-x", ("a",), "")
        assert (y.name, y.command, y.ended_by) == ("app-y", ("b",), "SIGINT")
        assert isinstance(x, App)
