"""`tracebaton run` becomes the command."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

SCRIPTS = Path(sysconfig.get_path("scripts"))
TRACEBATON = str(SCRIPTS / "tracebaton")


def run(*command: str, **environ: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    return subprocess.run(
        [TRACEBATON, "run", *command],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**env, "OTEL_TRACES_EXPORTER": "none", **environ},
    )


def test_it_is_the_same_process() -> None:
    """PID 1 in a container stays PID 1, so signals reach the application."""
    env = {**os.environ, "OTEL_TRACES_EXPORTER": "none"}
    command = [TRACEBATON, "run", sys.executable, "-c", "import os; print(os.getpid())"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=env) as process:
        assert process.stdout
        assert int(process.stdout.read()) == process.pid


def test_it_sets_the_two_variables() -> None:
    code = "import os; print(os.environ['OTEL_PYTHON_DISTRO'], os.environ['OTEL_PYTHON_CONFIGURATOR'])"
    assert run(sys.executable, "-c", code).stdout == "tracebaton tracebaton\n"


def test_a_distro_that_the_user_chose_stays() -> None:
    code = "import os; print(os.environ['OTEL_PYTHON_DISTRO'])"
    done = run(sys.executable, "-c", code, OTEL_PYTHON_DISTRO="distro")
    assert done.stdout == "distro\n"
    assert "another OpenTelemetry distro is in charge" in done.stderr


def test_options_of_the_command_are_the_commands() -> None:
    assert run(sys.executable, "-c", "import sys; print(sys.argv[1:])", "--help", "-x").stdout == "['--help', '-x']\n"
    assert run("--", sys.executable, "-c", "print(1)").stdout == "1\n"


def test_the_exit_status_is_the_commands() -> None:
    assert run(sys.executable, "-c", "raise SystemExit(7)").returncode == 7


def test_a_program_of_this_environment_is_found_without_activating_it() -> None:
    done = run("uvicorn", "--version", PATH=os.defpath)
    assert "Running uvicorn" in done.stdout


@pytest.mark.parametrize(
    ("command", "status", "sentence"),
    [
        ("uvicornn", 127, "tracebaton run: the command 'uvicornn' is not on the PATH.\n"),
        ("./nothing", 127, "tracebaton run: the command './nothing' does not exist.\n"),
        ("/etc", 126, "tracebaton run: '/etc' is a directory.\n"),
        (__file__, 126, f"tracebaton run: '{__file__}' is not executable.\n"),
    ],
)
def test_a_command_that_cannot_run_is_a_sentence(command: str, status: int, sentence: str) -> None:
    done = run(command)
    assert (done.returncode, done.stderr) == (status, sentence)


def test_no_command_at_all_is_a_sentence() -> None:
    done = run()
    assert done.returncode == 2
    assert "no command was given" in done.stderr


def test_the_launchers_help_lists_our_variables() -> None:
    done = subprocess.run(
        [SCRIPTS / "opentelemetry-instrument", "--help"], capture_output=True, text=True, check=True, timeout=60
    )
    assert "--tracebaton_keep_errors" in done.stdout
    assert "--tracebaton_logs" in done.stdout


def test_the_command_sees_what_upstreams_launcher_would_show_it(tmp_path: Path) -> None:
    """Fails where the launcher begins to do more than `tracebaton run` does in its place."""
    code = "import json, os, sys; print(json.dumps([dict(os.environ), sys.path, sys.argv]))"
    command = [sys.executable, "-c", code, "--an", "argument"]
    for given in ({}, {"PYTHONPATH": f"/a{os.pathsep}{tmp_path}"}):
        env = {**os.environ, **given, "OTEL_PYTHON_DISTRO": "tracebaton", "OTEL_PYTHON_CONFIGURATOR": "tracebaton"}
        env |= {"OTEL_TRACES_EXPORTER": "none", "OTEL_SERVICE_NAME": "x"}
        shown = [
            subprocess.run([*launcher, *command], capture_output=True, check=True, env=env, cwd=tmp_path).stdout
            for launcher in ([TRACEBATON, "run"], [SCRIPTS / "opentelemetry-instrument"])
        ]
        assert shown[0] == shown[1]


def test_where_upstreams_directory_is_not_found_the_launcher_is_started() -> None:
    code = (
        "from tracebaton import run; run._auto_instrumentation = lambda: None\n"
        "import sys; show = 'from opentelemetry.trace import get_tracer_provider as p; print(type(p()).__name__)'\n"
        "run.run([sys.executable, '-c', show])"
    )
    env = {**os.environ, "OTEL_TRACES_EXPORTER": "none"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    assert done.stdout == "TracerProvider\n"


def test_the_command_itself_needs_no_heavy_imports() -> None:
    """A container's start waits for this."""
    code = (
        "import sys; from tracebaton.cli import main\n"
        "main(['run', 'no-such-command'])\n"
        "heavy = {'dataclasses', 'inspect', 'rich', 'grpc', "
        " 'google.protobuf', 'opentelemetry.sdk'} & sys.modules.keys()\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, stdout=subprocess.DEVNULL)
