"""The line at the start, in every way that a process comes into being."""

from __future__ import annotations

import platform
import signal
from importlib.metadata import version
from typing import TYPE_CHECKING

import pytest
from harness import TRACED
from launching import Service, start, wait_until_gone, wait_until_ready
from processes import HOST

if TYPE_CHECKING:
    from harness import System

VERSIONS = (
    f"tracebaton {version('tracebaton')}, OpenTelemetry {version('opentelemetry-sdk')}/"
    f"{version('opentelemetry-instrumentation')}, Python {platform.python_version()}."
)
UVICORN = (*TRACED, "uvicorn", "launch_app:app", "--host", HOST, "--port", "{port}")


def said(service: Service) -> list[str]:
    """The lines of the logger `tracebaton`; the word alone may be the name of the directory."""
    lines = service.child.output().splitlines()
    return [line for line in lines if '"logger": "tracebaton"' in line or ": tracebaton: " in line]


def end(service: Service) -> None:
    service.end(signal.SIGTERM, group=False)
    wait_until_gone(service)


@pytest.mark.parametrize(
    "command",
    [
        UVICORN,
        (*UVICORN, "--workers", "2"),
        (*UVICORN, "--reload"),
        (
            *TRACED,
            "gunicorn",
            "-k",
            "uvicorn_worker.UvicornWorker",
            "-w",
            "2",
            "-b",
            HOST + ":{port}",
            "launch_app:app",
        ),
    ],
    ids=["one process", "workers", "reload", "gunicorn"],
)
def test_it_is_said_once_for_all_processes_of_a_launch(system: System, command: tuple[str, ...]) -> None:
    """Workers that would say the same as the process that started them say it at DEBUG: an operator reads one line."""
    service = start(system, "shop", command)
    wait_until_ready(service)
    service.send(20)
    end(service)
    (line,) = said(service)
    assert '"level": "INFO"' in line
    assert "Tracing is on: service 'shop', " in line
    assert f"spans go to {system.grpc_endpoint} over grpc, sampler ParentBased{{" in line
    assert VERSIONS in line


def test_it_is_said_once_when_tracing_is_off(system: System) -> None:
    service = start(system, "shop", (*UVICORN, "--workers", "2"), env={"OTEL_SDK_DISABLED": "true"})
    wait_until_ready(service)
    service.send(4)
    end(service)
    assert said(service) == ["INFO: tracebaton: Tracing is off: OTEL_SDK_DISABLED=true."]


def test_wrong_settings_are_said_once_as_well(system: System) -> None:
    service = start(system, "shop", (*UVICORN, "--workers", "2"), env={"OTEL_TRACEBATON_LOGS": "text"})
    wait_until_ready(service)
    service.send(8)
    end(service)
    assert sum("OTEL_TRACEBATON_LOGS='text' is unknown" in line for line in said(service)) == 1


def test_a_program_that_differs_says_its_own(system: System) -> None:
    """A tool under another name, run by the application, is another service."""
    span = "from opentelemetry import trace; trace.get_tracer('t').start_span('x').end()"
    tool = (
        f"{span}; import os, subprocess, sys; os.environ['OTEL_SERVICE_NAME'] = 'tool'; "
        f"subprocess.run([sys.executable, '-c', {span!r}])"
    )
    service = start(system, "shop", (*TRACED, "python", "-c", tool))
    wait_until_gone(service)
    assert [line.split("service '")[1].split("'")[0] for line in said(service)] == ["shop", "tool"]
