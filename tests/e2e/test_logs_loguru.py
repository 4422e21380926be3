"""An application that logs with loguru, unmodified."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from harness import TRACED, UNTRACED
from log_lines import get, ids_in, ids_of, objects, printed, start, without_ids
from spans import servers, wait_for_spans

if TYPE_CHECKING:
    from pathlib import Path

    from harness import System

INJECT = {"OTEL_TRACEBATON_LOGS": "inject"}
DISABLED = {"OTEL_SDK_DISABLED": "true"}
LINES = ("text", "coloured", "queued", "handler", "file")
RAW = "50 % ... done"

# Files keep the format that they have.
IN_FILES = ("queued", "file")


def in_files(directory: Path) -> list[str]:
    """The lines in the files that the application logs to, one of them through a queue."""
    files = [directory / "loguru.log", directory / "queued.log"]
    return [line for file in files for line in file.read_text(encoding="utf-8").splitlines()]


def test_its_sinks_in_mode_json(system: System, tmp_path: Path) -> None:
    url = start(system, "loguru", "loguru_app", TRACED, DIRECTORY=str(tmp_path))
    get(url, "/work", "/thread", "/broken")
    system.stop_agents()
    spans = wait_for_spans(system, lambda spans: len(servers(spans)) == 3)
    work, thread, broken = (ids_of(*servers(spans, path)) for path in ("/work", "/thread", "/broken"))
    everything = printed(system, "loguru")
    assert RAW in everything
    to_functions = [line for line in everything if line.startswith(("function", "coroutine"))]
    lines = objects([line for line in everything if line not in {*to_functions, RAW}])
    files = in_files(tmp_path)
    assert not [line for line in files if line.startswith("{")]
    for name in IN_FILES:
        assert [line for line in files if f"working on {name}" in line]

    for name in set(LINES) - set(IN_FILES):
        starting, working, threaded = [
            line
            for line in lines
            if line.get("sink") == name
            and line["message"][:7] in ("startin", "working", "in a th")
            and "library" not in line["message"]
        ]
        assert (starting["message"], working["message"]) == ("starting", f"working on {name}")
        assert (ids_in(starting), ids_in(working), ids_in(threaded)) == ({}, work, thread)
        assert (working["level"], working["logger"], working["job"]) == ("WARNING", "loguru_app", 7)
        assert working["service.name"] == "loguru"
        assert working["timestamp"].endswith("Z")

    serialized = [line for line in lines if "record" in line and "sink" in line["record"]["extra"]]
    assert [ids_in(line) for line in serialized] == [{}, work, thread]
    assert serialized[1]["text"] == "working on serialized\n"
    own = [line for line in lines if "lvl" in line and line["m"] in ("starting", "working on own", "in a thread")]
    assert own == [
        {"m": "starting", "lvl": "INFO"},
        {"m": "working on own", "lvl": "WARNING", **work},
        {"m": "in a thread", "lvl": "INFO", **thread},
    ]
    shown = [json.loads(line.removeprefix("function")) for line in to_functions if line.startswith("function")]
    assert [ids_in(line) for line in shown] == [{}, work, thread]
    assert "coroutine working on coroutine" in to_functions

    (foreign,) = [line for line in lines if line.get("message") == "working by another library"]
    assert (foreign["logger"], ids_in(foreign)) == ("loguru_app", work)
    failed = [line for line in lines if "ZeroDivisionError" in line.get("exc_info", "")]
    assert failed
    assert all(ids_in(line) == broken and line["level"] == "ERROR" for line in failed)
    (first,) = objects(
        [line for line in system.children["loguru"].stderr.read_text().splitlines() if "default" in line]
    )
    assert (first["message"], first["logger"]) == ("starting with the default sink", "loguru_app")


def test_its_sinks_keep_their_shape_otherwise(system: System, tmp_path: Path) -> None:
    for name, launcher, environ in (("plain", UNTRACED, {}), ("inject", TRACED, INJECT), ("off", TRACED, DISABLED)):
        directory = tmp_path / name
        directory.mkdir()
        get(start(system, name, "loguru_app", launcher, DIRECTORY=str(directory), **environ), "/work")
    system.stop_agents()
    (span,) = servers(wait_for_spans(system, servers))

    def shape(name: str) -> list[str]:
        lines = [without_ids(line) for line in (*printed(system, name), *in_files(tmp_path / name))]
        # Of loguru's own JSON, moments and process numbers are never the same; coroutines print when they come to it.
        return sorted(re.sub(r'("record": ).*', r"\1...", line) for line in lines)

    assert shape("off") == shape("plain")
    assert shape("inject") == shape("plain")
    injected = printed(system, "inject")
    in_json = objects([line for line in injected if line.startswith("{")])
    found = [ids_in(line) for line in in_json if "working" in str(line) and "library" not in str(line)]
    assert found == [ids_of(span)] * 2
    assert span.trace_id not in "".join(line for line in injected if "{" not in line)
