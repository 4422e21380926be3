"""A Python that will not find tracebaton is named before it starts."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tracebaton.interpreter import why_untraced


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (["-I", "app.py"], "-I ignores PYTHONPATH"),
        (["-E", "-m", "app"], "-E ignores PYTHONPATH"),
        (["-sE", "app.py"], "-E ignores PYTHONPATH"),
        (["-uIc", "pass"], "-I ignores PYTHONPATH"),
        (["-X", "dev", "-S", "app.py"], "-S imports no sitecustomize"),
    ],
)
def test_options_that_keep_it_out(arguments: list[str], option: str) -> None:
    why = why_untraced(sys.executable, arguments)
    assert why is not None
    assert option in why
    assert why.endswith("runs untraced.")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["app.py", "-I"],
        ["-m", "app", "-E"],
        ["-c", "pass", "-S"],
        ["-Wignore::EncodingWarning", "app.py"],
        ["-W", "E", "a"],
    ],
)
def test_options_of_the_program_are_the_programs(arguments: list[str]) -> None:
    assert why_untraced(sys.executable, arguments) is None


@pytest.mark.parametrize("line", ["#!{python} -I", "#!/usr/bin/env -S {python} -E"])
def test_a_script_that_asks_for_it_itself(tmp_path: Path, line: str) -> None:
    script = tmp_path / "tool"
    script.write_text(line.format(python=sys.executable) + "\nprint(1)\n")
    why = why_untraced(str(script), ["x"])
    assert why is not None
    assert "ignores PYTHONPATH, by which tracing starts: 'tool x' runs untraced." in why


def test_a_pex(tmp_path: Path) -> None:
    made = tmp_path / "app.pex"
    made.write_bytes(f"#!{sys.executable}\n".encode())
    with zipfile.ZipFile(made, "a") as archive:
        archive.writestr("__main__.py", "print(1)")
        archive.writestr("PEX-INFO", "{}")
    why = why_untraced(str(made), [])
    assert why is not None
    assert why.startswith("a pex ignores PYTHONPATH")


def test_an_environment_without_tracebaton(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "other"], check=True, timeout=60)
    python = tmp_path / "other" / "bin" / "python"
    why = why_untraced(str(python), ["app.py"])
    assert why is not None
    assert why.startswith(f"the environment of {python} has no tracebaton: 'python app.py' runs untraced.")


@pytest.mark.parametrize(
    "arguments", [["-i"], ["-"], ["-u", "PYTHONPATH"], ["A=1", "--unset=PYTHONPATH"], ["PYTHONPATH=/app"]]
)
def test_env_that_takes_the_path_away(arguments: list[str]) -> None:
    why = why_untraced("/usr/bin/env", [*arguments, "uvicorn", "main:app"])
    assert why is not None
    assert "takes PYTHONPATH away" in why


def test_env_that_leaves_it() -> None:
    assert why_untraced("/usr/bin/env", ["-u", "HOME", "A=1", sys.executable, "app.py"]) is None
    why = why_untraced("/usr/bin/env", ["A=1", sys.executable, "-I", "app.py"])
    assert why is not None
    assert "-I ignores PYTHONPATH" in why


def test_sudo_hands_no_environment_on() -> None:
    assert str(why_untraced("/usr/bin/sudo", ["uvicorn"])).startswith("sudo hands no environment on")


@pytest.mark.parametrize("program", ["/bin/sh", "/bin/true"])
def test_what_is_no_python_is_not_judged(program: str) -> None:
    assert why_untraced(program, ["-c", "x"]) is None


def test_run_says_it_in_one_line_and_becomes_the_command() -> None:
    program = str(Path(sys.executable).with_name("tracebaton"))
    env = {**os.environ, "OTEL_TRACES_EXPORTER": "none"}
    command = [program, "run", sys.executable, "-I", "-c", "print('runs')"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=env)
    assert done.stdout == "runs\n"
    (line,) = done.stderr.splitlines()
    assert line.startswith("WARNING: tracebaton: python -I ignores PYTHONPATH, by which tracing starts: ")
