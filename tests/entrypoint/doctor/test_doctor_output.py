"""The command itself: its options, its three outputs, its exit status."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

TRACEBATON = str(Path(sysconfig.get_path("scripts"), "tracebaton"))
WELL = {"OTEL_PYTHON_DISTRO": "tracebaton", "OTEL_PYTHON_CONFIGURATOR": "tracebaton", "OTEL_SERVICE_NAME": "shop"}


def doctor(directory: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    return subprocess.run(
        [TRACEBATON, "doctor", *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=False,
        cwd=directory,
        env={**env, **environ},
    )


def test_all_is_well(app_directory: Path) -> None:
    done = doctor(app_directory, "--no-send", "uvicorn", "main:app", **WELL)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[-1] == "tracebaton doctor: all is well"
    assert all(line.startswith("ok      ") for line in lines[:-1])


def test_plain_output_is_for_a_log(app_directory: Path) -> None:
    """No colour, nothing but ASCII of its own, one finding a line."""
    done = doctor(app_directory, "--no-send", "uvicorn", "mian:app", **{**WELL, "OTEL_TRACES_SAMPLR": "x"})
    assert done.returncode == 1
    assert done.stdout.isascii()
    assert "\x1b" not in done.stdout
    lines = done.stdout.splitlines()
    assert lines[-1] == "tracebaton doctor: 1 error, 1 warning"
    assert {line.split()[0] for line in lines[:-1]} == {"ok", "warning", "error"}
    (error,) = [line for line in lines if line.startswith("error")]
    assert error.startswith("error   command: ")
    assert "there is no module mian in " in error
    assert " (did you mean main?); " in error
    assert error.endswith(
        ". To do: correct the name, or the directory that the container starts in (WORKDIR, --app-dir)."
    )


def test_what_is_wrong_comes_first_and_the_rest_in_a_line_for_each_check(app_directory: Path) -> None:
    question = "--explain", "POST /chat"
    given = "--no-send", *question, "uvicorn", "mian:app"
    lines = doctor(app_directory, *given, **{**WELL, "OTEL_TRACES_SAMPLR": "x"}).stdout.splitlines()
    assert [line.split()[0] for line in lines[:2]] == ["error", "warning"]
    assert lines[2].startswith("ok      sampling: POST /chat: rule 7 of the defaults decides")
    checks = [line.split()[1] for line in lines[3:-1]]
    assert len(checks) == len(set(checks)) >= 8
    assert all(line.startswith("ok") for line in lines[3:-1])
    (sampling,) = [line for line in lines[3:-1] if " sampling: " in line]
    assert sampling.endswith("more: --verbose)")


def test_verbose_has_all_of_it_in_the_order_of_the_checks(app_directory: Path) -> None:
    told = doctor(app_directory, "--no-send", "--verbose", "uvicorn", "mian:app", **WELL).stdout.splitlines()[:-1]
    document = json.loads(doctor(app_directory, "--no-send", "--json", "uvicorn", "mian:app", **WELL).stdout)
    assert [line.split()[1].rstrip(":") for line in told] == [one["check"] for one in document["checks"]]


def test_warnings_alone_are_no_failure(app_directory: Path) -> None:
    assert doctor(app_directory, "--no-send", **WELL, OTEL_TRACES_SAMPLR="x").returncode == 0


@pytest.mark.parametrize("separator", [[], ["--"]])
def test_the_commands_options_are_the_commands(app_directory: Path, separator: Sequence[str]) -> None:
    command = ["uvicorn", "--json", "--help", "main:app", "--port", "8000"]
    done = doctor(app_directory, "--no-send", "--verbose", *separator, *command, **WELL)
    assert done.returncode == 0
    assert "the module main of the application main:app is there" in done.stdout
    assert not done.stdout.startswith("{")


def test_json(app_directory: Path) -> None:
    done = doctor(app_directory, "--json", "--no-send", "--explain", "POST /chat", "uvicorn", "mian:app", **WELL)
    document = json.loads(done.stdout)
    assert done.returncode == 1
    assert set(document) == {"result", "version", "trace_id", "checks"}
    assert (document["result"], document["trace_id"]) == ("error", None)
    assert all(set(one) == {"check", "status", "message", "remedy"} for one in document["checks"])
    names = list(dict.fromkeys(one["check"] for one in document["checks"]))
    assert names == [
        "versions", "launcher", "variables", "settings", "sampling", "instrumentations", "patches", "command", "spool",
        "receiver",
    ]  # fmt: skip
    assert any("POST /chat: rule 7 of the defaults decides" in one["message"] for one in document["checks"])


def test_wrong_usage(app_directory: Path) -> None:
    done = doctor(app_directory, "--nonsense")
    assert done.returncode == 2
    assert "unrecognized arguments: --nonsense" in done.stderr


def test_what_kills_others_does_not_kill_it(app_directory: Path) -> None:
    """OpenTelemetry raises while it is imported under some of these."""
    done = doctor(
        app_directory, "--no-send", OTEL_PROPAGATORS="b33", OTEL_PYTHON_CONTEXT="x", OTEL_ATTRIBUTE_COUNT_LIMIT="y"
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.splitlines()[-1].startswith("tracebaton doctor: 3 errors")
    assert "Traceback" not in done.stdout


def test_a_reader_that_leaves_is_no_traceback(app_directory: Path) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    reader, writer = os.pipe()
    os.close(reader)
    command = [TRACEBATON, "doctor", "--no-send"]
    with subprocess.Popen(command, stdout=writer, stderr=subprocess.PIPE, cwd=app_directory, env=env) as process:
        os.close(writer)
        assert process.communicate(timeout=60)[1] == b""


def in_terminal(directory: Path, *launcher: str, **environ: str) -> str:
    """What it prints on a terminal of 100 columns."""
    mine, its = pty.openpty()
    env = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    env |= {"TERM": "xterm", "COLUMNS": "100", **environ}
    env.pop("NO_COLOR", None)
    command = [*(launcher or (TRACEBATON,)), "doctor", "--no-send", "sleepp"]
    with subprocess.Popen(command, stdout=its, cwd=directory, env=env) as process:
        os.close(its)
        output = b""
        try:
            while data := os.read(mine, 65536):
                output += data
        except OSError:  # Linux: the other side has closed
            pass
        os.close(mine)
        assert process.wait(60) == 1
    return output.decode()


def test_a_terminal_gets_colour(app_directory: Path) -> None:
    text = in_terminal(app_directory, PYTHONIOENCODING="utf-8")
    assert "\x1b[1mlauncher\x1b[0m" in text
    assert "\x1b[32m✓\x1b[0m" in text
    assert "✗" in text
    assert "→ " in text


def test_a_terminal_without_colour_or_unicode(app_directory: Path) -> None:
    text = in_terminal(app_directory, PYTHONIOENCODING="ascii", NO_COLOR="1", TERM="dumb")
    assert text.isascii()
    assert "error the program 'sleepp' is not on the PATH" in text
    assert "\x1b[3" not in text


def test_a_terminal_without_rich(app_directory: Path) -> None:
    """As with a plain `pip install tracebaton`."""
    code = "import sys; sys.modules['rich'] = None; from tracebaton.cli import main; sys.exit(main())"
    text = in_terminal(app_directory, sys.executable, "-c", code, PYTHONIOENCODING="utf-8")
    assert text.startswith("error   ")
    assert "the program 'sleepp' is not on the PATH" in text
    assert "\x1b" not in text


def test_rich_is_for_terminals_only(app_directory: Path) -> None:
    code = (
        "import sys; from tracebaton.cli import main; status = main(['doctor', '--no-send'])\n"
        "assert 'rich' not in sys.modules and 'grpc' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_parser_is_cheap() -> None:
    code = (
        "import sys, argparse; from tracebaton.doctor import add_arguments; add_arguments(argparse.ArgumentParser())\n"
        "print([name for name in sys.modules if name.startswith(('opentelemetry', 'tracebaton.doctor.'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"
