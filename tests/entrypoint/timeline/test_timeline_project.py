"""tracebaton.timeline.project"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tracebaton.timeline.project import PROJECT, choose_project
from tracebaton.timeline.sources import SourceError

if TYPE_CHECKING:
    from pathlib import Path

_WORKING_DIR = "com.docker.compose.project.working_dir"


def choose(directory: Path, *labels: dict[str, str], asked: str | None = None, **environ: str) -> str:
    return choose_project(labels, asked=asked, environ=environ, directory=directory)


def test_asked(tmp_path: Path) -> None:
    labels = {PROJECT: "one"}, {PROJECT: "two"}, {PROJECT: "here", _WORKING_DIR: str(tmp_path)}
    assert choose(tmp_path, *labels, asked="two", COMPOSE_PROJECT_NAME="one") == "two"
    assert choose(tmp_path, *labels, COMPOSE_PROJECT_NAME="one") == "one"
    assert choose(tmp_path, *labels) == "here"


def test_unknown(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no container of the compose project 'three'; .*: one, two; choose one"):
        choose(tmp_path, {PROJECT: "two"}, {PROJECT: "one"}, asked="three")
    with pytest.raises(SourceError, match="there is none of any other project either"):
        choose(tmp_path)


def test_directory_below(tmp_path: Path) -> None:
    """Started in a directory above; a symbolic link to it is the same."""
    below = tmp_path / "real" / "src"
    below.mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    outer, inner = (
        {PROJECT: "outer", _WORKING_DIR: str(tmp_path)},
        {PROJECT: "inner", _WORKING_DIR: str(tmp_path / "link")},
    )
    assert choose(below, outer, inner) == "inner"
    assert choose(below, outer) == "outer"


def test_several(tmp_path: Path) -> None:
    labels = [{PROJECT: name, _WORKING_DIR: str(tmp_path)} for name in ("b", "a", "a")]
    with pytest.raises(SourceError, match="several compose projects .*: a, b; choose one with --project"):
        choose(tmp_path, *labels)


@pytest.mark.parametrize(
    ("file", "text", "name"),
    [
        ("compose.yaml", "name: my-app  # ours\nservices: {}\n", "my-app"),
        ("docker-compose.yml", 'name: "my-app"\n', "my-app"),
        ("docker-compose.yml", "services:\n  a:\n    name: other\n", "shopv2"),
    ],
)
def test_by_compose_file(tmp_path: Path, file: str, text: str, name: str) -> None:
    """Containers that were started elsewhere, but have the name that this compose file stands for."""
    folder = tmp_path / "Shop.v2"
    (folder / "src").mkdir(parents=True)
    (folder / file).write_text(text)
    elsewhere = {PROJECT: name, _WORKING_DIR: "/elsewhere"}
    assert choose(folder / "src", elsewhere, {PROJECT: "other", _WORKING_DIR: "/other"}) == name
