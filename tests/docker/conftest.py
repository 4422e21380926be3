"""Real containers: the compose project at the top with the genuine Collector, and images built from the Dockerfiles."""

from __future__ import annotations

import sys
import uuid
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "docker" / "demo"), str(Path(__file__).parent)]

import docker_engine  # noqa: E402
from compose_project import Project  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="session")
def compose() -> dict[str, Any]:
    """The compose file, as any reader of YAML sees it."""
    loaded = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    assert isinstance(loaded, dict)
    return loaded


@pytest.fixture(scope="session")
def engine() -> Any:
    return docker_engine.client()


@pytest.fixture(scope="session")
def new_tag(engine: Any) -> Iterator[Callable[[str], str]]:
    """Names for images; all that were given out are removed at the end."""
    given: list[str] = []
    run = uuid.uuid4().hex[:8]

    def make(name: str) -> str:
        given.append(f"tracebaton-test-{name}:{run}")
        return given[-1]

    yield make
    import docker

    for tag in reversed(given):
        with suppress(docker.errors.ImageNotFound):
            engine.images.remove(tag, force=True)


@pytest.fixture(scope="session")
def demo_image(new_tag: Callable[[str], str]) -> str:
    return docker_engine.build_on_kept_stage("docker/Dockerfile", "base", new_tag("demo"))


@pytest.fixture(scope="session")
def collector_image() -> str:
    return docker_engine.collector_image()


@pytest.fixture(scope="session")
def project(engine: Any, collector_image: str, demo_image: str) -> Iterator[Project]:
    """The whole system, started by docker-compose 1.29; a test that changes it puts it back."""
    with Project(engine, docker_engine.compose_1(), demo_image) as made:
        made.up()
        yield made
