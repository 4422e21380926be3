"""Processes in words."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from tracebaton.control.render import in_brief, in_full, show
from tracebaton.control.talk import Answers

if TYPE_CHECKING:
    import pytest

PROCESS: dict[str, Any] = {
    "pid": 7,
    "service": "agent-b",
    "command": "uvicorn main:app",
    "version": "1.2.3",
    "on": True,
    "off_since": None,
    "off_until": None,
    "sampler": "tracebaton{*=1}",
    "sampler_since": 0.0,
    "sampler_set_by": "environment",
    "sampler_until": None,
    "exporters": [
        {
            "destination": "http://otel-collector:4317",
            "protocol": "grpc",
            "last_error": "Connection refused",
            "interrupted": True,
            "waiting": 3,
            "spool": "/spool",
            "counters": {"exported": 5, "dropped": {"it was full": 2}, "spooled": 1, "recovered": 4, "retried": 6},
        }
    ],
    "other_exporters": ["console"],
    "kept": {"kept": 8, "over_the_cap": 9},
}
TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"


def test_in_full_it_is_everything_by_lines() -> None:
    lines = in_full(PROCESS).splitlines()
    assert lines[:2] == ["agent-b, process 7 (uvicorn main:app), tracebaton 1.2.3", "  tracing   on"]
    assert re.fullmatch(rf"  sampling  tracebaton\{{\*=1\}} \(since {TIME}, from the environment\)", lines[2])
    assert lines[3:] == [
        "  exporter  http://otel-collector:4317 over grpc: cannot be reached",
        "            last error: Connection refused",
        "  spans     5 exported, 3 waiting in memory, 1 spooled, 4 recovered from the spool; 6 requests were retried",
        "  lost      2 because it was full",
        "  spool     /spool",
        "  exporter  console",
        "  kept      8 unsampled errors or slow requests, 9 over the cap",
    ]


def test_what_is_missing_of_kept_requests_is_said() -> None:
    kept = {"kept": 8, "over_the_cap": 0, "incomplete": 2, "calls_dropped": 70}
    (line,) = [line for line in in_full({**PROCESS, "kept": kept}).splitlines() if line.startswith("  kept")]
    assert line == (
        "  kept      8 unsampled errors or slow requests, 0 over the cap; "
        "2 without all of their calls, of which 70 are missing"
    )


def test_in_brief_it_is_a_line_with_both_ends() -> None:
    changed = {"on": False, "off_since": 0.0, "off_until": 60.0, "sampler_set_by": "tracebaton set"}
    line = in_brief({**PROCESS, **changed, "sampler_until": 90.0})
    assert re.fullmatch(
        rf"agent-b, process 7 \(uvicorn main:app\): off since {TIME}, until {TIME}; "
        rf"tracebaton\{{\*=1\}} \(since {TIME}, by `tracebaton set`, until {TIME}\)",
        line,
    )


def test_nothing_that_a_process_says_speaks_to_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = {**PROCESS, "service": "\x1b[2Ja\nagent-c, process 8", "sampler": "\u202e\udc80"}
    answers = Answers([hostile], ["Process 9: \x1b[31m\r."])
    assert show(answers, None, as_json=False, line=in_full) == 1
    said = capsys.readouterr()
    assert said.out.startswith(" [2Ja agent-c, process 8, process 7 ")
    assert "\x1b" not in said.out + said.err
    assert show(answers, None, as_json=True, line=in_full) == 1
    assert json.loads(capsys.readouterr().out) == hostile
