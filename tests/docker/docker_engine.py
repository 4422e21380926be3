"""What the container tests need of this machine, and what becomes of them where it is missing.

The images `python` and `redis` may be stand-ins (Debian's Python and Redis under the official names), where none can be
pulled: then the tests prove this project's Dockerfiles and its compose file, not the official images. The Collector is
the genuine one: pulled, or built by docker/collector/image.sh from its own modules with its own builder.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import pytest

ROOT = Path(__file__).resolve().parents[2]
PYTHON_IMAGE = "python:3.11-slim"


def missing(what: str, untested: str = "NO CONTAINER WAS TESTED") -> NoReturn:
    """Skip what needs containers, and say so loudly; on CI they have to run."""
    message = f"{untested}: {what}"
    if os.environ.get("CI") == "true":
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


@cache
def client() -> Any:
    """The Docker SDK's client of a running engine."""
    import docker

    try:
        made = docker.from_env(timeout=120)
        made.ping()
    except docker.errors.DockerException as error:
        missing(f"there is no Docker Engine ({error})")
    there = {tag for image in made.images.list() for tag in image.tags}
    for image in {PYTHON_IMAGE, "redis:7-alpine"} - there:
        if subprocess.run(["docker", "pull", "-q", image], capture_output=True, timeout=600, check=False).returncode:
            missing(f"the image {image} is neither there nor can it be pulled")
    return made


@cache
def collector_image() -> str:
    """The name of the Collector's image, which is there from then on."""
    client()
    script = ROOT / "docker" / "collector" / "image.sh"
    done = subprocess.run([script], capture_output=True, text=True, timeout=1500, check=False)
    if done.returncode:
        missing(f"the Collector's image cannot be had:\n{done.stderr}")
    import yaml

    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return str(compose["services"]["otel-collector"]["image"])


@cache
def compose_1() -> list[str]:
    """The command docker-compose, version 1."""
    program = shutil.which("docker-compose")
    version = _output([program, "version", "--short"]) if program else ""
    if not version.startswith("1."):
        missing("there is no docker-compose 1.29")
    return [str(program)]


@cache
def compose_2() -> list[str] | None:
    """The command of Compose v2, installed or built by tests/docker/compose_v2.sh; None where there is none."""
    if _output(["docker", "compose", "version", "--short"]).lstrip("v").startswith(("2.", "5.")):
        return ["docker", "compose"]
    cache_home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    built = sorted((cache_home / "tracebaton").glob("compose-*/docker-compose"))
    return [str(built[-1])] if built else None


def build(dockerfile: str, tag: str, *arguments: str, context: Path = ROOT) -> str:
    """`docker build` with the engine's classic builder, the only one that every engine has; returns the tag."""
    command = ["docker", "build", "-q", "-f", str(context / dockerfile), "-t", tag, *arguments, str(context)]
    environ = {**os.environ, "DOCKER_BUILDKIT": "0"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, env=environ)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    return tag


def build_on_kept_stage(dockerfile: str, stage: str, tag: str, *arguments: str) -> str:
    """Build `dockerfile`; the stage that installs its dependencies stays when the tests are over, for the next run."""
    kept = f"tracebaton-{stage}:kept-by-tests"
    before = _ids(kept)
    build(dockerfile, kept, "--target", stage)
    for image in before - _ids(kept):
        subprocess.run(["docker", "rmi", image], capture_output=True, timeout=60, check=False)
    return build(dockerfile, tag, *arguments)


def _ids(tag: str) -> set[str]:
    return {image.id for image in client().images.list(name=tag)}


def _output(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except OSError:
        return ""
    return done.stdout if done.returncode == 0 else ""
