"""Whatever goes wrong while tracing starts: the application runs, and one line says what it was."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

PROGRAM = Path(sysconfig.get_path("scripts"), "tracebaton")
# Stands in for the distro and for the configurator, breaks one thing, and goes on as they do.
FAULTS = """
import importlib, os
from tracebaton_configurator.configurator import OpenTelemetryConfigurator
from tracebaton_configurator.distro import TracebatonDistro

def broken(*_, **__):
    raise RuntimeError("no luck")

def break_it(stage):
    wanted, _, path = os.environ["BROKEN"].partition(" ")
    if wanted == stage:
        module, _, names = path.partition(":")
        *owners, name = names.split(".")
        owner = importlib.import_module(module)
        for one in owners:
            owner = getattr(owner, one)
        setattr(owner, name, broken)

class Distro(TracebatonDistro):
    def configure(self, **kwargs):
        break_it("distro")
        super().configure(**kwargs)

class Configurator(OpenTelemetryConfigurator):
    def configure(self, **kwargs):
        break_it("configurator")
        super().configure(**kwargs)
"""
ENTRY_POINTS = """
[opentelemetry_distro]
faulty = faults:Distro
[opentelemetry_configurator]
faulty = faults:Configurator
"""
SHOW = """
import fastapi, httpx
from opentelemetry import trace
print(trace.get_tracer("t").start_span("x").is_recording(), fastapi.FastAPI.__module__)
"""
UNTRACED = "False fastapi.applications\n"
TRACED_ALL_THE_SAME = "True opentelemetry.instrumentation.fastapi\n"
PIPELINE = "configurator tracebaton_configurator.startup.pipeline"
FATAL = [
    "distro tracebaton_configurator.settings:current",
    "distro tracebaton_configurator.settings:hand_down",
    "distro tracebaton_configurator.distro:leave_launcher_directory",
    "configurator tracebaton_configurator.logs.hook:install",
    "configurator tracebaton_configurator.logs.diagnostics:install",
    "configurator tracebaton_configurator.startup.family:captured_streams",
    f"{PIPELINE}:propagator.install",
    f"{PIPELINE}:effective_rules",
    f"{PIPELINE}:RandomIdGenerator",
    f"{PIPELINE}:build_resource",
    f"{PIPELINE}:DetachingTracerProvider",
    f"{PIPELINE}:ExportQueue",
    f"{PIPELINE}:renew_in_children",
    f"{PIPELINE}:flush_at_exit",
    f"{PIPELINE}:AsgiInstrumentation",
    f"{PIPELINE}:Control",
]


def start(tmp_path: Path, broken: str, **environ: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "faults.py").write_text(FAULTS)
    info = tmp_path / "faults-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: faults\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    chosen = {"OTEL_PYTHON_DISTRO": "faulty", "OTEL_PYTHON_CONFIGURATOR": "faulty", "OTEL_SERVICE_NAME": "shop"}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    env = {**inherited, **chosen, "PYTHONPATH": str(tmp_path), "BROKEN": broken, **environ}
    return subprocess.run(
        [str(PROGRAM), "run", sys.executable, "-c", SHOW],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=env,
    )


@pytest.mark.parametrize("broken", FATAL, ids=lambda broken: broken.partition(" tracebaton_configurator.")[2])
def test_it_runs_untraced_and_one_line_says_why(tmp_path: Path, broken: str) -> None:
    done = start(tmp_path, broken)
    assert (done.returncode, done.stdout) == (0, UNTRACED), done.stderr
    (line,) = done.stderr.splitlines()
    assert "Tracing could not start, the application runs untraced: RuntimeError: no luck" in line


@pytest.mark.parametrize("broken", [FATAL[0], FATAL[1], FATAL[3], FATAL[-1]])
def test_strict_ends_it(tmp_path: Path, broken: str) -> None:
    done = start(tmp_path, broken, OTEL_TRACEBATON_STRICT="true")
    assert (done.returncode, done.stdout) == (78, ""), done.stderr
    why, what_then = done.stderr.splitlines()
    assert "RuntimeError: no luck" in why
    assert "OTEL_TRACEBATON_STRICT=true: the process ends here with status 78" in what_then


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (f"{PIPELINE}:providers.coexist", "Watching for other providers failed to start, tracing continues"),
        (
            "configurator tracebaton_configurator.startup.start_log:say_at_the_first_sign",
            "The start-up log failed, tracing continues",
        ),
        (f"{PIPELINE}:Server.start", "Live control failed to start, tracing continues"),
        (
            f"{PIPELINE}:AsgiInstrumentation._after_fastapi",
            "tracebaton does not match fastapi, upstream's behaviour stays",
        ),
        (f"{PIPELINE}:AsgiInstrumentation.finish", "tracebaton does not match fastapi, upstream's behaviour stays"),
    ],
)
def test_what_tracing_can_do_without(tmp_path: Path, broken: str, said: str) -> None:
    done = start(tmp_path, broken)
    assert (done.returncode, done.stdout) == (0, TRACED_ALL_THE_SAME), done.stderr
    assert any(said in line and "RuntimeError: no luck" in line for line in done.stderr.splitlines()), done.stderr
    assert sum("Tracing is on" in line for line in done.stderr.splitlines()) == 1


def test_metrics_that_cannot_start_leave_the_traces(tmp_path: Path) -> None:
    broken = "configurator tracebaton_configurator.export.signals:start_metrics"
    done = start(tmp_path, broken, OTEL_METRICS_EXPORTER="console")
    assert done.stdout == TRACED_ALL_THE_SAME, done.stderr
    (error,) = [line for line in done.stderr.splitlines() if '"ERROR"' in line]
    assert "OTEL_METRICS_EXPORTER='console' could not be started (RuntimeError: no luck)" in error
