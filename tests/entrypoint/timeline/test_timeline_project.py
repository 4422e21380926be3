"""tracebaton.timeline.containers: whose project this directory is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tracebaton.timeline.containers import Container, choose_project
from tracebaton.timeline.sources import SourceError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COMPOSE_PROJECT_NAME", raising=False)


def of(project: str, directory: Path | str = "") -> Container:
    return Container("id", "name", "Up", project, "service", str(directory))


def test_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    containers = of("one"), of("two"), of("here", tmp_path)
    assert choose_project(containers, None) == "here"
    monkeypatch.setenv("COMPOSE_PROJECT_NAME", "one")
    assert choose_project(containers, None) == "one"
    assert choose_project(containers, "two") == "two"


def test_unknown() -> None:
    with pytest.raises(SourceError, match="no container of the compose project 'three'; .*: one, two; choose one"):
        choose_project([of("two"), of("one")], "three")
    with pytest.raises(SourceError, match="there is none of any other project either"):
        choose_project([], None)


def test_directory_below(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Started in a directory above; a symbolic link to it is the same."""
    below = tmp_path / "real" / "src"
    below.mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.chdir(below)
    assert choose_project([of("outer", tmp_path), of("inner", tmp_path / "link")], None) == "inner"
    assert choose_project([of("outer", tmp_path)], None) == "outer"


def test_several(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="several compose projects .*: a, b; choose one with --project"):
        choose_project([of(name, tmp_path) for name in ("b", "a", "a")], None)


@pytest.mark.parametrize(
    ("file", "text", "name"),
    [
        ("compose.yaml", "name: my-app  # ours\nservices: {}\n", "my-app"),
        ("docker-compose.yml", 'name: "my-app"\n', "my-app"),
        ("docker-compose.yml", "services:\n  a:\n    name: other\n", "shopv2"),
    ],
)
def test_by_compose_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, text: str, name: str) -> None:
    """Containers that were started elsewhere, but have the name that this compose file stands for."""
    folder = tmp_path / "Shop.v2"
    (folder / "src").mkdir(parents=True)
    (folder / file).write_text(text)
    monkeypatch.chdir(folder / "src")
    assert choose_project([of(name, "/elsewhere"), of("other", "/other")], None) == name
