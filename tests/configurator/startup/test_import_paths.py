"""What `import_paths` leaves on `sys.path`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tracebaton_configurator.startup import import_paths

LAUNCHER = "opentelemetry/instrumentation/auto_instrumentation"
# Run without site-packages, so that the two folders are all there is.
PROGRAM = f"""
import importlib.util, json, sys
def load(name, path):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
import_paths = load("import_paths", {import_paths.__file__!r})
import opentelemetry.instrumentation.auto_instrumentation
import_paths.leave_launcher_directory()
import shared, opentelemetry.late, opentelemetry.instrumentation.late, opentelemetry.own
print(json.dumps([shared.__file__, opentelemetry.late.__file__, opentelemetry.instrumentation.late.__file__,
                  opentelemetry.own.__file__, sys.path]))
"""


def folder(root: Path, *files: str) -> Path:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()
    return root


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    here = ("opentelemetry/late.py", "opentelemetry/instrumentation/late.py", "shared.py", f"{LAUNCHER}/__init__.py")
    return folder(tmp_path / "layer", *here)


@pytest.fixture
def application(tmp_path: Path) -> Path:
    here = ("opentelemetry/late.py", "opentelemetry/instrumentation/late.py", "opentelemetry/own.py", "shared.py")
    return folder(tmp_path / "application", *here)


def start(layer: Path, application: Path) -> tuple[list[str], list[str]]:
    """Which folder each module came from, and the path afterwards."""
    path = ":".join(map(str, [layer / LAUNCHER, layer, application]))
    done = subprocess.run(
        [sys.executable, "-S", "-c", PROGRAM], env={"PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    *files, left = json.loads(done.stdout)
    names: list[Any] = [Path(file).relative_to(layer.parent).parts[0] for file in files]
    return names, left


class TestLayer:
    def test_gives_way_to_the_applications_packages(self, layer: Path, application: Path) -> None:
        (layer / ".tracebaton-layer").touch()
        (shared, *_), path = start(layer, application)
        assert shared == "application"
        assert path.index(str(application)) < path.index(str(layer)) == len(path) - 1

    def test_stays_first_for_opentelemetry(self, layer: Path, application: Path) -> None:
        """The application's own parts of that namespace are found, those that both have are the layer's."""
        (layer / ".tracebaton-layer").touch()
        (_, *modules), _ = start(layer, application)
        assert modules == ["layer", "layer", "application"]

    def test_is_known_by_its_mark_only(self, layer: Path, application: Path) -> None:
        """A folder on PYTHONPATH that has the application's packages, too, keeps the place that it was given."""
        (shared, *_), path = start(layer, application)
        assert shared == "layer"
        assert path.index(str(layer)) < path.index(str(application))


def test_launcher_directory_is_left(layer: Path, application: Path) -> None:
    _, path = start(layer, application)
    assert str(layer / LAUNCHER) not in path
