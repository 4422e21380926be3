"""A spool directory that cannot be used is said at start, not at the first outage; spans wait in memory then."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from harness import TRACED
from launching import assert_all_delivered, start, wait_until_gone, wait_until_ready
from processes import HOST

if TYPE_CHECKING:
    from pathlib import Path

    from harness import System

COMMAND = (*TRACED, "uvicorn", "launch_app:app", "--host", HOST, "--port", "{port}")
SAID = "is not a directory (expected a directory that this user may write, or make); spans wait in memory."


@pytest.mark.parametrize("workers", [(), ("--workers", "2")], ids=["one process", "workers"])
def test_it_is_said_once_and_nothing_else_changes(system: System, tmp_path: Path, workers: tuple[str, ...]) -> None:
    (tmp_path / "file").write_text("")
    environ = {"OTEL_TRACEBATON_SPOOL_DIR": str(tmp_path / "file")}
    service = start(system, "shop", (*COMMAND, *workers), env=environ)
    wait_until_ready(service)
    service.send(20)
    service.settle()
    service.end(signal.SIGTERM, group=False)
    wait_until_gone(service)
    output = service.child.output()
    assert output.count(SAID) == 1
    assert output.index(SAID) < output.index("Tracing is on")
    assert "outages are waited out" not in output
    assert_all_delivered(system, "shop", service.served)


def test_strict_ends_the_process_before_the_application_starts(system: System) -> None:
    environ = {"OTEL_TRACEBATON_SPOOL_DIR": "/proc/spool", "OTEL_TRACEBATON_STRICT": "true"}
    service = start(system, "shop", COMMAND, env=environ)
    wait_until_gone(service)
    assert service.child.returncode == 78
    assert "OTEL_TRACEBATON_SPOOL_DIR='/proc/spool' cannot be used by user" in service.child.output()
    assert "the application has started" not in service.child.output()
