"""`tracebaton run` becomes the command."""

from __future__ import annotations

import json
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
    assert "another OpenTelemetry distro is active in this process" in done.stderr


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


def test_the_command_sees_what_it_would_see_without(tmp_path: Path) -> None:
    """But for four variables: the path, arguments and modules are those of the bare command."""
    code = "import json, os, sys; print(json.dumps([dict(os.environ), sys.path, sys.argv, sys.flags]))"
    command = [sys.executable, "-c", code, "--an", "argument"]
    for given in ({}, {"PYTHONPATH": f"/a{os.pathsep}{tmp_path}"}, {"PYTHONPATH": f"/a{os.pathsep}"}):
        env = {**os.environ, **given}
        traced, bare = (
            json.loads(
                subprocess.run([*launcher, *command], capture_output=True, check=True, env=env, cwd=tmp_path).stdout
            )
            for launcher in ([TRACEBATON, "run"], [])
        )
        assert traced[1:] == bare[1:]
        ours, *_ = traced[0].pop("PYTHONPATH").partition(os.pathsep)
        bare[0].pop("PYTHONPATH", None)
        assert Path(ours, "sitecustomize.py").exists()
        assert traced[0].pop("OTEL_PYTHON_DISTRO") == traced[0].pop("OTEL_PYTHON_CONFIGURATOR") == "tracebaton"
        assert traced[0].pop("_OTEL_TRACEBATON_PARENT")
        assert traced[0] == bare[0]


_SEEN = """
import gc, json, os, signal, sys, threading
import fastapi, httpx, redis  # what is patched where tracing is on
print(json.dumps({
    "path": sys.path,
    "modules": sorted(sys.modules),
    "finders": [str(one).partition(" at ")[0] for one in sys.meta_path],
    "hooks": [str(one).partition(" at ")[0] for one in sys.path_hooks],
    "threads": [one.name for one in threading.enumerate()],
    "excepthook": sys.excepthook is sys.__excepthook__,
    "handlers": [str(signal.getsignal(number)) for number in (signal.SIGTERM, signal.SIGINT)],
    "gc": gc.get_threshold(),
    "variables": sorted(name for name in os.environ if not name.startswith("OTEL_")),
    "flags": str(sys.flags),
    "argv": sys.orig_argv,
}))
"""


def test_disabled_the_command_starts_as_without() -> None:
    """Path, modules, threads, finders, handlers: nothing is there that is not there without."""
    done = run(sys.executable, "-c", _SEEN, OTEL_SDK_DISABLED="true")
    bare = subprocess.run(
        [sys.executable, "-c", _SEEN], capture_output=True, text=True, check=True, env={**os.environ}, timeout=60
    )
    assert json.loads(done.stdout) == json.loads(bare.stdout)
    assert done.stderr == bare.stderr == ""


def test_disabled_is_said_of_a_server() -> None:
    done = run("uvicorn", "--version", OTEL_SDK_DISABLED="true")
    assert done.stderr == "INFO: tracebaton: Tracing is off: OTEL_SDK_DISABLED=true.\n"


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
