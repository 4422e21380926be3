"""Asks the doctor in this process, without the network unless a test wants it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

from tracebaton.doctor.session import examine
from tracebaton.doctor.situation import Situation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tracebaton.doctor.finding import Finding


class Examine(Protocol):
    """`check` selects the findings of one check."""

    def __call__(
        self,
        environ: Mapping[str, str] | None = None,
        command: Sequence[str] = (),
        *,
        check: str | None = None,
        explain: tuple[str, ...] = (),
        send: bool = False,
    ) -> list[Finding]: ...


@pytest.fixture(autouse=True)
def only_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests of this process put instrumentations on the path that are no part of the environment."""
    monkeypatch.setattr(sys, "path", [path for path in sys.path if not path.endswith("other-instrumentations")])


@pytest.fixture
def app_directory(tmp_path: Path) -> Path:
    """Where the command is said to be started: with an application in `main.py`, and a package."""
    (tmp_path / "main.py").write_text("from fastapi import FastAPI\n\napp = FastAPI()\nconfig = 1\n")
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").write_text("raise RuntimeError('the doctor imported it')\n")
    (tmp_path / "shop" / "api.py").write_text("def create_app():\n    pass\n")
    return tmp_path


@pytest.fixture
def diagnose(app_directory: Path) -> Examine:
    def ask(
        environ: Mapping[str, str] | None = None,
        command: Sequence[str] = (),
        *,
        check: str | None = None,
        explain: tuple[str, ...] = (),
        send: bool = False,
    ) -> list[Finding]:
        # As in a container: `python` is the one that tracebaton is installed in, whatever else a machine has.
        path = os.pathsep.join([str(Path(sys.executable).parent), os.defpath])
        situation = Situation({"PATH": path, **(environ or {})}, command, str(app_directory), explain, send)
        return [one for one in examine(situation) if check in (None, one.check)]

    return ask
