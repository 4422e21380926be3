"""The command as a whole: its help, and what a shell completes."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tracebaton.cli import _COMMANDS

SCRIPTS = Path(sysconfig.get_path("scripts"))
TRACEBATON = str(SCRIPTS / "tracebaton")


def test_the_help_fits_a_screen() -> None:
    env = {**os.environ, "COLUMNS": "80"}
    text = subprocess.run(
        [TRACEBATON, "--help"], env=env, capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert len(text.splitlines()) <= 24
    assert max(map(len, text.splitlines())) <= 80
    for name, summary in _COMMANDS.items():
        assert f"{name:8}  {summary}\n" in text  # on one line


COMPLETE = """
eval "$(register-python-argcomplete tracebaton)"
COMP_LINE=$1 COMP_POINT=${#1} COMP_TYPE=9 COMP_KEY=9
COMP_WORDS=($1) COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_python_argcomplete tracebaton "${COMP_WORDS[$COMP_CWORD]}"
printf '%s\n' "${COMPREPLY[@]}"
"""


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("tracebaton do", {"doctor"}),
        ("tracebaton t", {"timeline", "trace"}),
        ("tracebaton doctor --e", {"--explain"}),
        ("tracebaton off --f", {"--for"}),
        ("tracebaton x", set()),
    ],
)
def test_bash_completes(typed: str, found: set[str]) -> None:
    env = {**os.environ, "PATH": f"{SCRIPTS}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "--norc", "-c", COMPLETE, "bash", typed],
        env=env,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert {word.strip() for word in done.stdout.split("\n") if word.strip()} == found


def test_nothing_is_imported_for_it_where_no_shell_asks() -> None:
    code = (
        "import sys; from tracebaton import cli\n"
        "try:\n cli.main(['--version'])\nexcept SystemExit: pass\n"
        "assert 'argcomplete' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)
