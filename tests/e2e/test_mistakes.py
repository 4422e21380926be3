"""Each of the mistakes in mistakes.py is named, with its remedy, in one line of the log or of the doctor."""

from __future__ import annotations

import os
import subprocess
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from mistakes import APP, BY_THE_DOCTOR, IN_THE_LOG, Mistake
from processes import HOST, Port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

SCRIPTS = Path(sysconfig.get_path("scripts"))


@pytest.fixture(scope="module")
def places(listen: Callable[..., AbstractContextManager[Any]]) -> Iterator[dict[str, str]]:
    """Endpoints: a receiver in this process, over each protocol, and a port at which nobody listens."""
    dead = Port()
    with listen() as receiver:
        yield {
            "dead": f"http://{HOST}:{dead.number}",
            "grpc": f"http://{receiver.grpc}",
            "grpcs": f"https://{receiver.grpc}",
            "http": f"http://{receiver.http}",
            "https": f"https://{receiver.http}",
        }
    dead.release()


def run(mistake: Mistake, directory: Path, places: dict[str, str]) -> subprocess.CompletedProcess[str]:
    for name, text in mistake.files.items():
        file = directory / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.replace("{directory}", str(directory)))
        file.chmod(0o755)
    where = next((one.parent for one in directory.glob("srv/*/main.py")), directory)
    env = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    # No Collector is needed for what is wrong before there is a span; what is tested overrides it.
    env |= {"OTEL_EXPORTER_OTLP_ENDPOINT": places["dead"], "PYTHONPATH": str(directory / "site")}
    env |= {name: value.format(**places) if "{" in value else value for name, value in mistake.environ.items()}
    return subprocess.run(
        [SCRIPTS / mistake.launcher[0], *mistake.launcher[1:], *mistake.command],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=where,
        env=env,
    )


def lines_with(text: str, said: tuple[str, ...]) -> list[str]:
    return [line for line in text.splitlines() if all(words in line for words in said)]


def test_the_list_is_long_enough() -> None:
    assert (
        len({mistake.what for mistake in (*IN_THE_LOG, *BY_THE_DOCTOR)}) == len(IN_THE_LOG) + len(BY_THE_DOCTOR) >= 30
    )


@pytest.mark.parametrize("mistake", IN_THE_LOG, ids=lambda one: one.what)
def test_one_line_of_the_log_names_it(mistake: Mistake, tmp_path: Path, places: dict[str, str]) -> None:
    done = run(mistake, tmp_path, places)
    assert lines_with(done.stderr, mistake.said), done.stderr
    assert ("the application runs" in done.stdout) == mistake.runs
    assert "my-secret-token" not in done.stderr


@pytest.mark.parametrize("mistake", BY_THE_DOCTOR, ids=lambda one: one.what)
def test_one_run_of_the_doctor_names_it(mistake: Mistake, tmp_path: Path, places: dict[str, str]) -> None:
    (tmp_path / "main.py").write_text(APP)
    (tmp_path / "python3").write_text("#!/bin/sh\nexit 1\n")  # as one that has not found tracebaton
    (tmp_path / "python3").chmod(0o755)
    done = run(mistake, tmp_path, places)
    (line,) = lines_with(done.stdout, mistake.said) or [done.stdout]
    assert line.startswith(("warning ", "error ")), line
    assert done.stderr == ""
    assert (done.returncode == 1) == any(one.startswith("error") for one in done.stdout.splitlines())
