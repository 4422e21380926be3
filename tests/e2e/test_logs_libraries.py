"""Other logging libraries: ids where their own hooks allow, else the start-up log says that there are none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

PROGRAM = str(Path(sysconfig.get_path("scripts"), "tracebaton"))
LIBRARIES = Path(sys.prefix, "other-loggers")
START = """
import sys
import fastapi
from opentelemetry import trace
def work(log):
    log("outside")
    with trace.get_tracer("x").start_as_current_span("work") as span:
        log("inside")
    print(f"{span.get_span_context().trace_id:032x} {span.get_span_context().span_id:016x}", file=sys.stderr)
"""
LOGBOOK = """
import logbook
text = "{record.message} {record.extra[trace_id]} {record.extra[span_id]}"
logbook.StreamHandler(sys.stdout, format_string=text).push_application()
work(logbook.Logger("app").info)
"""
ELIOT = """
import eliot
eliot.log_message(message_type="before")
eliot.to_file(sys.stdout)
work(lambda text: eliot.log_message(message_type=text))
eliot.log_message(message_type="own", trace_id="mine")
"""
PICOLOGGING = """
import picologging
picologging.basicConfig(level=picologging.INFO, stream=sys.stdout, format="%(message)s")
work(picologging.getLogger().info)
"""


def run(library: str, script: str, **environ: str) -> tuple[list[str], list[str]]:
    if not (LIBRARIES / library).is_dir():
        pytest.skip(f"{library} is not there: NOT tested")
    variables = {**os.environ, "OTEL_TRACES_EXPORTER": "none", "PYTHONPATH": str(LIBRARIES / library), **environ}
    command = [PROGRAM, "run", sys.executable, "-c", START + script]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=variables, timeout=60)
    return done.stdout.splitlines(), done.stderr.splitlines()


@pytest.mark.parametrize("mode", ["json", "inject"])
def test_logbook(mode: str) -> None:
    lines, errors = run("logbook", LOGBOOK, OTEL_TRACEBATON_LOGS=mode)
    assert lines == ["outside  ", f"inside {errors[-1]}"]


@pytest.mark.parametrize("mode", ["json", "inject"])
def test_eliot(mode: str) -> None:
    lines, errors = run("eliot", ELIOT, OTEL_TRACEBATON_LOGS=mode)
    found = [json.loads(line) for line in lines]
    assert [one["message_type"] for one in found] == ["before", "outside", "inside", "own"]
    ids = [(one.get("trace_id"), one.get("span_id")) for one in found]
    assert ids == [(None, None), (None, None), tuple(errors[-1].split()), ("mine", None)]


def test_picologging() -> None:
    lines, errors = run("picologging", PICOLOGGING)
    assert lines == ["outside", "inside"]
    assert "log lines of picologging have no ids" in "\n".join(errors)


@pytest.mark.parametrize(("library", "script"), [("logbook", LOGBOOK), ("eliot", ELIOT), ("picologging", PICOLOGGING)])
def test_nothing_is_said_or_changed_otherwise(library: str, script: str) -> None:
    lines, errors = run(library, script, OTEL_TRACEBATON_LOGS="off")
    assert errors[-1].split()[0] not in "".join(lines)
    assert "have no ids" not in "".join(errors)
