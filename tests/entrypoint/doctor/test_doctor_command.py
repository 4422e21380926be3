"""What the doctor says about the command: it is read, and never run."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tracebaton.doctor.finding import Status
from tracebaton.doctor.launch import main_command, read_launch

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Examine

APP = ("uvicorn", "main:app")


class TestReading:
    """`read_launch` peels what stands before the program."""

    @pytest.mark.parametrize(
        ("command", "program"),
        [
            (["uvicorn", "main:app", "--port", "8000"], ("uvicorn", "main:app", "--port", "8000")),
            (["tracebaton", "run", "uvicorn", "main:app"], APP),
            (["/venv/bin/tracebaton", "run", "--", "uvicorn", "main:app"], APP),
            (["opentelemetry-instrument", "uvicorn", "main:app"], APP),
            (["opentelemetry-instrument", "--service_name", "x", "--metrics_exporter=none", *APP], APP),
            (["tini", "-g", "--", "tracebaton", "run", *APP], APP),
            (["dumb-init", *APP], APP),
            (["/sbin/docker-init", "--", *APP], APP),
            (["env", "A=1", "-u", "B", *APP], ("-u", "B", *APP)),
            (["env", "-u", "B", "A=1", *APP], APP),
            (["sh", "-c", "exec uvicorn main:app"], APP),
            (["bash", "-euc", "A=1 uvicorn main:app; true"], APP),
            (["sh", "-c", "cd /srv && tracebaton run uvicorn main:app"], APP),
            (["sh", "start.sh"], ("sh", "start.sh")),
            (["sh", "-c"], ()),
            (["sh", "-c", "'"], ("'",)),
            (["tracebaton", "run"], ()),
            ([], ()),
        ],
    )
    def test_program(self, command: list[str], program: tuple[str, ...]) -> None:
        assert read_launch(command).program == program

    def test_options_of_upstreams_launcher_override_variables(self) -> None:
        launch = read_launch(["opentelemetry-instrument", "--service_name", "x", "--distro=tracebaton", *APP])
        assert launch.overrides == {"OTEL_SERVICE_NAME": "x", "OTEL_PYTHON_DISTRO": "tracebaton"}
        assert launch.launchers == ["opentelemetry-instrument"]

    @pytest.mark.parametrize(
        ("script", "program", "after"),
        [
            ("uvicorn main:app", ["uvicorn", "main:app"], ""),
            ("uvicorn main:app; true", ["uvicorn", "main:app"], "; true"),
            ("uvicorn main:app | tee log", ["uvicorn", "main:app"], "| tee"),
            ("uvicorn main:app &\nwait", ["uvicorn", "main:app"], "& wait"),
            ("set -e\n# start\nalembic upgrade head\nexec uvicorn main:app\n", ["exec", "uvicorn", "main:app"], ""),
            ("echo start && uvicorn main:app", ["uvicorn", "main:app"], ""),
            ("uvicorn \\\n  main:app", ["uvicorn", "main:app"], ""),
            ("uvicorn main:app 2>&1", ["uvicorn", "main:app", "2", ">&", "1"], ""),
            ("uvicorn main:app >log 2>&1 &", ["uvicorn", "main:app", ">", "log", "2", ">&", "1"], "&"),
            ("make serve; uvicorn main:app; sleep 1; echo over", ["uvicorn", "main:app"], "; sleep"),
            ("", [], ""),
        ],
    )
    def test_main_command(self, script: str, program: list[str], after: str) -> None:
        assert main_command(script) == (program, after)


def test_without_a_command_it_says_how_to_give_one(diagnose: Examine) -> None:
    (finding,) = diagnose(check="command")
    assert finding.status is Status.OK
    assert finding.remedy == "tracebaton doctor uvicorn main:app ..."


def worst_of(diagnose: Examine, *command: str, **environ: str) -> tuple[Status, str]:
    """The gravest finding about the command, with its remedy."""
    findings = diagnose(environ, command, check="command")
    finding = max(findings, key=lambda one: list(Status).index(one.status))
    return finding.status, f"{finding.message}. {finding.remedy}"


@pytest.mark.parametrize(
    "command",
    [
        "uvicorn main:app --port 8000",
        "uvicorn --port 8000 --reload main:app",
        "tracebaton run uvicorn main:app --workers 2",
        "uvicorn --factory shop.api:create_app",
        "tini -- tracebaton run uvicorn main:app",
        "gunicorn -k uvicorn_worker.UvicornWorker -w 2 -b 0.0.0.0:8000 main:app",
        "gunicorn -c gunicorn.conf.py main:app",
        "hypercorn main:app --bind 0.0.0.0:8000",
        "granian --interface asgi main:app",
        "fastapi run main.py",
        "python main.py",
    ],
)
def test_good_commands(diagnose: Examine, command: str) -> None:
    assert worst_of(diagnose, *command.split())[0] is Status.OK, worst_of(diagnose, *command.split())


def test_a_module_of_this_python(diagnose: Examine) -> None:
    assert worst_of(diagnose, sys.executable, "-m", "uvicorn", "main:app")[0] is Status.OK


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("uvicon main:app", "'uvicon' is not on the PATH (did you mean uvicorn?): the container ends with status 127"),
        ("./start main:app", "'./start' does not exist"),
        ("./main.py", "'./main.py' is not executable. chmod +x ./main.py"),
        ("uvicorn", "no application is named: uvicorn wants MODULE:ATTRIBUTE. uvicorn main:app"),
        ("uvicorn main.py", "uvicorn wants MODULE:ATTRIBUTE. uvicorn main:app"),
        ("uvicorn mian:app", "there is no module mian in {directory} (did you mean main?)"),
        ("uvicorn shop.apy:app", "there is no module shop.apy"),
        ("uvicorn --app-dir src main2:app", "there is no module main2 in {directory}/src"),
        ("python -m uvicorn mian:app", "there is no module mian in {directory}"),
        ("gunicorn -k gone.workers.Worker main:app", "no module gone.workers"),
        ("fastapi run app/main.py", "the file app/main.py does not exist"),
        ("python worker.py", "the file worker.py does not exist"),
        ("python -m uvicornn main:app", "the module uvicornn is not there"),
        ("tracebaton run", "the command has no program"),
    ],
)
def test_what_cannot_start_is_an_error(diagnose: Examine, app_directory: Path, command: str, said: str) -> None:
    status, sentence = worst_of(diagnose, *command.split())
    assert status is Status.ERROR
    assert said.format(directory=app_directory) in sentence


@pytest.mark.parametrize(
    ("script", "status", "said"),
    [
        ("exec uvicorn main:app", Status.OK, ""),
        ("uvicorn main:app; true", Status.ERROR, "stays PID 1, because `; true` follows the program"),
        ("uvicorn main:app | tee log", Status.ERROR, "`| tee` follows the program"),
        ("cd . && uvicorn main:app", Status.WARNING, "some shells stay PID 1"),
        ("uvicorn main:app", Status.WARNING, "put exec before the program"),
        ("uvicorn main:app 2>&1", Status.WARNING, "put exec before the program"),
    ],
)
def test_a_shell_without_exec_loses_spans(diagnose: Examine, script: str, status: Status, said: str) -> None:
    found, sentence = worst_of(diagnose, "sh", "-c", script)
    assert found is status
    assert said in sentence


@pytest.mark.parametrize(
    ("text", "status", "said"),
    [
        ('#!/bin/sh\nset -e\nexec "$@"\n', Status.OK, ""),
        (
            "#!/usr/bin/env bash\nalembic upgrade head\nuvicorn main:app\n",
            Status.ERROR,
            "starts `uvicorn` without exec",
        ),
        ('#!/bin/sh\n"$@"\n', Status.ERROR, "without exec and stays PID 1"),
        ("#!/bin/sh\nmake serve\n", Status.WARNING, "was not understood"),
    ],
)
def test_a_script_as_entry_point(diagnose: Examine, app_directory: Path, text: str, status: Status, said: str) -> None:
    script = app_directory / "start.sh"
    script.write_text(text)
    script.chmod(0o755)
    found, sentence = worst_of(diagnose, "./start.sh", "uvicorn", "main:app")
    assert found is status, sentence
    assert said in sentence


def test_a_python_without_tracebaton_is_an_error(diagnose: Examine, app_directory: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", app_directory / "other"], check=True, timeout=60)
    python, program = app_directory / "other" / "bin" / "python3", app_directory / "serve"
    program.write_text(f"#!{python}\n")
    program.chmod(0o755)
    for command in (["./serve"], [str(python), "main.py"]):
        status, sentence = worst_of(diagnose, *command)
        assert status is Status.ERROR
        assert f"the environment of {python} has no tracebaton: " in sentence
        assert "Install tracebaton there" in sentence


def test_a_python_in_another_place_that_has_tracebaton_is_none(diagnose: Examine, app_directory: Path) -> None:
    python = app_directory / "python3"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    assert worst_of(diagnose, str(python), "main.py")[0] is Status.OK


@pytest.mark.parametrize("kind", [[], ["-ksync"], ["--worker-class=gevent"]])
def test_gunicorns_own_workers_run_no_fastapi(diagnose: Examine, kind: list[str]) -> None:
    status, sentence = worst_of(diagnose, "gunicorn", "main:app", "-w", "2", *kind)
    assert status is Status.WARNING
    assert "-k uvicorn_worker.UvicornWorker" in sentence


@pytest.mark.parametrize("command", [["sleep", "1"], ["redis-server"]])
def test_a_program_that_is_not_python(diagnose: Examine, app_directory: Path, command: list[str]) -> None:
    program = app_directory / command[0]
    program.write_bytes(b"\x7fELF")
    program.chmod(0o755)
    status, sentence = worst_of(diagnose, *command, PATH=str(app_directory))
    assert status is Status.WARNING
    assert "is no Python program" in sentence


def test_workers_and_reload_are_explained(diagnose: Examine) -> None:
    messages = [
        one.message for one in diagnose({}, ["uvicorn", "main:app", "--reload", "--workers=4"], check="command")
    ]
    assert any(
        message.startswith("4 workers: each counts for itself") and "40/s in all" in message for message in messages
    )
    assert any(message.startswith("reloading is for development") for message in messages)


def test_the_service_name_comes_from_the_command(diagnose: Examine, app_directory: Path) -> None:
    messages = [one.message for one in diagnose({}, ["uvicorn", "shop.api:create_app"], check="settings")]
    assert messages[0].startswith("the service is called 'shop', derived from the command")
    given = ["opentelemetry-instrument", "--service_name", "given", "uvicorn", "main:app"]
    assert diagnose({}, given, check="settings")[0].message == "the service is called 'given'"


def test_a_name_that_says_nothing_is_a_warning(diagnose: Examine, app_directory: Path) -> None:
    from tracebaton.doctor.session import examine
    from tracebaton.doctor.situation import Situation

    findings = examine(Situation({}, ["uvicorn", "main:app"], "/app", send=False))
    (finding,) = [one for one in findings if "the service would be called" in one.message]
    assert (finding.status, finding.remedy) == (Status.WARNING, "set OTEL_SERVICE_NAME")
    assert "'main'" in finding.message
