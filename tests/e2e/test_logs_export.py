"""`OTEL_LOGS_EXPORTER` exports the records that reach the root logger, with the ids once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

PROGRAM = str(Path(sysconfig.get_path("scripts"), "tracebaton"))
UPSTREAMS = Path(sys.prefix, "company", "logging")
SCRIPT = """
import logging, logging.config, sys
import fastapi
from opentelemetry import trace
{configure}
log = logging.getLogger("shop")
log.warning("outside")
with trace.get_tracer("x").start_as_current_span("work") as span:
    log.warning("order %d", 1, extra={{"room": 7, "password": "hunter2"}})
    log.info("below the level")
try:
    1 / 0
except ZeroDivisionError:
    log.exception("failed", extra={{"trace_id": "mine"}})
print(f"{{span.get_span_context().trace_id:032x}}", file=sys.stderr)
"""
CONFIGURE = {
    "basicConfig": "logging.basicConfig(format='%(message)s')",
    "dictConfig": (
        "logging.config.dictConfig({'version': 1, 'handlers': {'c': {'class': 'logging.StreamHandler'}},"
        "'root': {'level': 'WARNING', 'handlers': ['c']}})"
    ),
    "basicConfig, forced": (
        "logging.basicConfig(format='%(name)s'); logging.basicConfig(format='%(message)s', force=True)"
    ),
}


def run(configure: str, **environ: str) -> tuple[list[dict[str, Any]], list[str]]:
    variables = {**os.environ, "OTEL_TRACES_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "console", **environ}
    command = [PROGRAM, "run", sys.executable, "-c", SCRIPT.format(configure=configure)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=variables, timeout=60)
    decoder, text, found = json.JSONDecoder(), done.stdout.strip(), []
    while text:
        record, end = decoder.raw_decode(text)
        found.append(record)
        text = text[end:].strip()
    return found, done.stderr.splitlines()


@pytest.mark.parametrize("upstreams", [False, True])
@pytest.mark.parametrize("mode", ["json", "inject", "off"])
@pytest.mark.parametrize("configure", CONFIGURE)
def test_records_are_exported_once(configure: str, mode: str, *, upstreams: bool) -> None:
    if upstreams and (not UPSTREAMS.is_dir() or mode != "json"):
        pytest.skip("upstream's logging instrumentation is not there, or tried in one mode")
    path = {"PYTHONPATH": str(UPSTREAMS)} if upstreams else {}
    records, lines = run(CONFIGURE[configure], OTEL_TRACEBATON_LOGS=mode, **path)
    assert [record["body"] for record in records] == ["outside", "order 1", "failed"]
    outside, order, failed = records
    trace_id = lines[-1]
    assert int(outside["trace_id"] or "0", 16) == 0
    assert order["trace_id"].removeprefix("0x") == trace_id
    assert order["severity_text"] == "WARN"
    assert order["attributes"]["room"] == 7
    if not upstreams:
        assert order["attributes"]["password"] == "[masked]"  # noqa: S105
        assert not order["attributes"].keys() & {"trace_id", "span_id", "trace_flags"}
    assert failed["attributes"]["exception.type"] == "ZeroDivisionError"
    assert failed["attributes"]["trace_id"] == "mine"
    assert sum("order 1" in line for line in lines) == 1  # the application's own handler is there


def test_upstreams_switch_leaves_it_out() -> None:
    records, _ = run(CONFIGURE["basicConfig"], OTEL_PYTHON_LOGGING_AUTO_INSTRUMENTATION_ENABLED="false")
    assert records == []
