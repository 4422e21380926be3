"""Applications that log with structlog, unmodified."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from harness import TRACED, UNTRACED
from log_lines import get, ids_in, ids_of, objects, printed, start, without_ids
from spans import servers, wait_for_spans

if TYPE_CHECKING:
    from harness import System

TEXT = ("console", "coloured", "key-value", "logfmt")
JSON = ("json", "bytes")
INJECT = {"OTEL_TRACEBATON_LOGS": "inject"}
DISABLED = {"OTEL_SDK_DISABLED": "true"}
OURS = {"timestamp", "level", "logger", "message", "service.name"}


def test_its_own_loggers_in_mode_json(system: System) -> None:
    url = start(system, "printing", "structlog_printing", TRACED)
    get(url, "/work", "/thread", "/broken")
    system.stop_agents()
    spans = wait_for_spans(system, lambda spans: len(servers(spans)) == 3)
    work, thread, broken = (ids_of(*servers(spans, path)) for path in ("/work", "/thread", "/broken"))
    lines = objects(printed(system, "printing"))
    for name in TEXT:
        starting, warned, elsewhere, threaded, *failed = [line for line in lines if line.get("setup") == name]
        assert starting["message"] == "starting"
        assert ids_in(starting) == {}
        assert ids_in(warned) == ids_in(elsewhere) == work
        assert ids_in(threaded) == thread
        assert warned.keys() >= OURS
        assert (warned["message"], warned["level"], warned["job"]) == ("working", "WARNING", 7)
        assert warned["service.name"] == "printing"
        assert warned["password"] == ("***" if name == "coloured" else "hunter2")
        for line in failed:
            assert (line["message"], line["level"]) == ("that was\nnot good", "ERROR")
            assert ids_in(line) == broken
            assert line["exc_info"].endswith("ZeroDivisionError: division by zero")
        assert len(failed) == (name in ("console", "key-value"))
    for name in JSON:
        starting, warned, elsewhere, threaded, *failed = [line for line in lines if line.get("setup") == name]
        assert "service.name" not in warned
        assert (starting["event"], warned["event"], warned["level"]) == ("starting", "working", "warning")
        assert list(warned)[-3:] == ["trace_id", "span_id", "trace_flags"]
        assert (ids_in(starting), ids_in(warned), ids_in(elsewhere), ids_in(threaded)) == ({}, work, work, thread)
        assert [ids_in(line) for line in failed] == [broken] * len(failed)
    sentences = [line for line in lines if line.get("message", "").endswith("\nand more")]
    assert sentences[1]["message"] == "sentence: working\nand more"
    assert [ids_in(line) for line in sentences] == [{}, work, work, thread]


def test_its_own_loggers_keep_their_shape_otherwise(system: System) -> None:
    for name, launcher, environ in (("plain", UNTRACED, {}), ("inject", TRACED, INJECT), ("off", TRACED, DISABLED)):
        get(start(system, name, "structlog_printing", launcher, **environ), "/work")
    system.stop_agents()
    (span,) = servers(wait_for_spans(system, servers))
    untraced = printed(system, "plain")
    assert printed(system, "off") == untraced
    injected = printed(system, "inject")
    assert [without_ids(line) for line in injected] == [without_ids(line) for line in untraced]
    in_json = [line for line in objects([line for line in injected if line.startswith("{")]) if "job" in line]
    assert [ids_in(line) for line in in_json] == [ids_of(span)] * 4
    assert span.trace_id not in "".join(line for line in injected if not line.startswith("{"))


@pytest.mark.parametrize("renderer", ["console", "json"])
def test_through_the_standard_library(system: System, renderer: str) -> None:
    modes = (("both", TRACED, {}), ("plain", UNTRACED, {}), ("inject", TRACED, INJECT))
    for name, launcher, environ in modes:
        get(start(system, name, "structlog_logging", launcher, RENDERER=renderer, **environ), "/work")
    system.stop_agents()
    spans = wait_for_spans(system, lambda spans: len(servers(spans)) == 2)
    ids = {span.service: ids_of(span) for span in servers(spans)}

    lines = objects(printed(system, "both"))
    starting, working, foreign, message, kwargs = [line for line in lines if line.get("logger") != "uvicorn.error"]
    assert ids_in(starting) == {}
    assert [ids_in(line) for line in (working, foreign, message, kwargs)] == [ids["both"]] * 4
    text = "message" if renderer == "console" else "event"
    assert (starting[text], working[text], foreign[text]) == ("starting", "working", "working by another library")
    assert (working["logger"], working["level"].lower(), working["room"]) == ("shop", "warning", 7)
    assert "\x1b" not in "".join(map(str, working.values()))
    assert ("service.name" in working) == (renderer == "console")
    assert message == {"event": "working", "setup": "message", "logger": "messages", "level": "warning", **ids["both"]}
    assert (kwargs["message"], kwargs["level"], kwargs["setup"]) == ("working", "WARNING", "kwargs")

    untraced, injected = printed(system, "plain"), printed(system, "inject")
    assert [without_ids(line) for line in injected] == [without_ids(line) for line in untraced]
    found = [ids_in(line) for line in objects([line for line in injected if line.startswith("{")])]
    assert found.count(ids["inject"]) == (1 if renderer == "console" else 3)
