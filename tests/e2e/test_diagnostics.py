"""What OpenTelemetry and the delivery complain about, as it is printed by a real process."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from launches import TRACED
from processes import wait_for

if TYPE_CHECKING:
    from harness import System

SCRIPT = Path(__file__).parent / "apps" / "trouble_script.py"


def run(system: System, **env: str) -> list[dict[str, Any]]:
    """The JSON lines of the script, run to its end."""
    child = system.start("script", [*TRACED, sys.executable, str(SCRIPT)], env={"OTEL_SERVICE_NAME": "script", **env})
    assert wait_for(lambda: child.returncode is not None, 30), child.output()
    assert child.returncode == 0, child.output()
    return system.logs("script")


@pytest.mark.parametrize("mode", ["json", "inject"])
def test_a_complaint_is_said_once_with_the_number_of_those_held_back(system: System, mode: str) -> None:
    run(system, OTEL_EXPORTER_OTLP_ENDPOINT=system.grpc_endpoint, OTEL_TRACEBATON_LOGS=mode)
    lines = [line for line in system.children["script"].output().splitlines() if "Invalid type" in line]
    assert len(lines) == 1, lines
    assert "tracebaton" in lines[0]
    (held,) = [line for line in system.children["script"].output().splitlines() if "held back" in line]
    assert "4 more" in held
    assert [span.name for span in system.spans()] == ["work"]


def test_spans_that_could_not_be_delivered_are_counted_at_the_end(system: System) -> None:
    endpoint = f"http://127.0.0.1:{system.free_port()}"
    lines = run(system, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, OTEL_TRACES_SAMPLER_ARG="1")
    (last,) = [line["message"] for line in lines if "was lost" in line["message"]]
    assert last.startswith("1 span was lost (1 because the process ended); 0 were delivered.")
    assert "Connection refused" in last
