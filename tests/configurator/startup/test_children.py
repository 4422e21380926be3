"""Programs that an application runs do not inherit what the launcher needs, where that is wanted."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tracebaton_configurator.startup.children import leave_children_alone

if TYPE_CHECKING:
    from collections.abc import Iterator

LAUNCHER, HERE, PRIVATE = "/launcher", "/here", "_OTEL_TRACEBATON_SERVICE_NAME"
SHOW = [sys.executable, "-c", "import json, os; print(json.dumps(dict(os.environ)))"]
OURS = {"OTEL_PYTHON_DISTRO": "tracebaton", "OTEL_PYTHON_CONFIGURATOR": "tracebaton", PRIVATE: "shop"}


@pytest.fixture(autouse=True)
def patched(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in {**OURS, "PYTHONPATH": f"{LAUNCHER}:{HERE}", "OTEL_SERVICE_NAME": "shop"}.items():
        monkeypatch.setenv(name, value)
    undo = leave_children_alone(os.environ, LAUNCHER, HERE)
    yield
    undo()


def test_a_child_without_an_environment_of_its_own() -> None:
    child = json.loads(subprocess.check_output(SHOW))
    assert not {"PYTHONPATH", *OURS} & child.keys()
    assert child["OTEL_SERVICE_NAME"] == "shop", "what the operator set is the operator's"
    assert os.environ["PYTHONPATH"] == f"{LAUNCHER}:{HERE}", "workers of this process need it"


@pytest.mark.parametrize(
    ("given", "left"),
    [
        (f"{LAUNCHER}:{HERE}:/own", "/own"),
        (f"{LAUNCHER}:/own:{HERE}", f"/own:{HERE}"),
        (f"/first:{LAUNCHER}:{HERE}", "/first"),
        ("/own", "/own"),
    ],
)
def test_what_else_is_in_the_path_stays(given: str, left: str) -> None:
    child = json.loads(subprocess.check_output(SHOW, env={**os.environ, "PYTHONPATH": given}))
    assert child["PYTHONPATH"] == left


def test_an_environment_made_from_scratch_is_left_alone() -> None:
    child = json.loads(subprocess.check_output(SHOW, env={"OTEL_PYTHON_DISTRO": "tracebaton"}))
    assert child["OTEL_PYTHON_DISTRO"] == "tracebaton"


def test_a_distro_of_the_users_choice_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_PYTHON_DISTRO", "another")
    assert json.loads(subprocess.check_output(SHOW))["OTEL_PYTHON_DISTRO"] == "another"


def test_arguments_by_position() -> None:
    positional = [SHOW, -1, None, None, subprocess.PIPE, None, None, True, False, None, {"PYTHONPATH": LAUNCHER}]
    process = subprocess.Popen(*positional)  # type: ignore[call-overload]
    assert "PYTHONPATH" not in json.loads(process.communicate()[0])


def test_asyncio() -> None:
    async def run() -> bytes:
        process = await asyncio.create_subprocess_exec(*SHOW, stdout=subprocess.PIPE)
        return (await process.communicate())[0]

    assert "PYTHONPATH" not in json.loads(asyncio.run(run()))


def test_a_wrong_environment_is_for_popen_to_judge() -> None:
    with pytest.raises((TypeError, AttributeError)):
        subprocess.check_output(SHOW, env=7)  # type: ignore[call-overload]


def test_undone_afterwards() -> None:
    before = subprocess.Popen.__init__
    undo = leave_children_alone(os.environ, LAUNCHER, HERE)
    undo()
    assert subprocess.Popen.__init__ is before
