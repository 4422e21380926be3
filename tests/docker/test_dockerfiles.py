"""The Dockerfiles are as the design and the oldest builder want them; tests/docker/test_image_ways.py builds them."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

import pytest
from compose_project import CHAIN as AGENTS
from docker_engine import ROOT
from otel_names import OWN, STANDARD


class TestDockerfile:
    def test_demo_adds_nothing_for_tracing_but_its_command(self, dockerfile: list[tuple[str, str]]) -> None:
        demo = stage(dockerfile, "demo")
        (command,) = [json.loads(rest) for word, rest in demo if word == "CMD"]
        assert command == ["opentelemetry-instrument", "uvicorn", "main:app", "--host", "0.0.0.0"]
        others = [rest for word, rest in demo if word != "CMD"]
        assert not [rest for rest in others if "tracebaton" in rest or "opentelemetry" in rest.lower()]

    def test_base_image_is_an_argument(self, dockerfile: list[tuple[str, str]], compose: dict[str, Any]) -> None:
        assert dockerfile[0] == ("ARG", "PYTHON=3.11")
        assert {rest.partition(" AS ")[0] for word, rest in dockerfile if word == "FROM"} == {
            "python:${PYTHON}-slim",
            "base",
        }
        for name in AGENTS:
            build = compose["services"][name]["build"]
            assert (build["args"], build["target"]) == ({"PYTHON": "${PYTHON:-3.11}"}, "demo")

    def test_base_says_which_distro_configures(self, dockerfile: list[tuple[str, str]]) -> None:
        base = stage(dockerfile, "base")
        pairs = [pair for word, rest in base if word == "ENV" for pair in shlex.split(rest)]
        variables = dict(pair.split("=", 1) for pair in pairs)
        assert variables["OTEL_PYTHON_DISTRO"] == "tracebaton"
        assert variables["OTEL_PYTHON_CONFIGURATOR"] == "tracebaton"
        assert {name for name in variables if name.startswith("OTEL_")} <= STANDARD | OWN

    @pytest.mark.parametrize("name", ["base", "demo"])
    def test_last_user_is_not_root(self, dockerfile: list[tuple[str, str]], name: str) -> None:
        assert [rest for word, rest in stage(dockerfile, name) if word == "USER"][-1] == "1000"


@pytest.mark.parametrize("path", ["docker/Dockerfile", "docker/autoinstrumentation/Dockerfile"])
class TestEveryDockerfile:
    def test_builds_with_the_classic_builder(self, path: str) -> None:
        """Docker 20.10's default builder has no mounts, no COPY --chmod, no heredocs and no syntax line."""
        assert not re.search(r"^#\s*syntax\s*=", (ROOT / path).read_text(), re.MULTILINE)
        for word, rest in instructions(path):
            assert not rest.startswith(("--mount", "--chmod", "--network", "--security", "--link")), (word, rest)
            assert "<<" not in rest

    def test_installs_the_wheel(self, path: str) -> None:
        """What is in an image is what an index would have: no source is installed but that of an empty package."""
        found = instructions(path)
        wheel = [rest for word, rest in stage(found, "wheel") if word == "RUN"]
        assert len(wheel) == 1
        assert wheel[0].startswith("pip wheel ")
        name = "base" if path == "docker/Dockerfile" else "layer"
        installs = [rest for word, rest in stage(found, name) if word == "RUN" and "pip install" in rest]
        assert "touch /src/README.md" in installs[0]
        assert [".whl" in rest for rest in installs] == [False, True]

    def test_what_it_copies_reaches_the_builder(self, path: str) -> None:
        allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
        copied = {
            source
            for word, rest in instructions(path)
            if word == "COPY" and not rest.startswith("--from")
            for source in rest.split()[:-1]
        }
        assert copied
        for source in copied:
            assert (ROOT / source).exists(), source
            assert any(source == one or source.startswith(f"{one}/") for one in allowed), source


@pytest.fixture(scope="module")
def dockerfile() -> list[tuple[str, str]]:
    return instructions("docker/Dockerfile")


def instructions(path: str) -> list[tuple[str, str]]:
    """Of a Dockerfile: the word in capitals, and the rest of the line, continuation lines included."""
    text = re.sub(r"\\\n\s*", "", (ROOT / path).read_text())
    parts = [line.split(None, 1) for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(word, rest) for word, rest in parts]


def stage(dockerfile: list[tuple[str, str]], name: str) -> list[tuple[str, str]]:
    """The instructions from `FROM ... AS name` to the next FROM."""
    starts = [number for number, (word, _) in enumerate(dockerfile) if word == "FROM"]
    (start,) = [number for number in starts if dockerfile[number][1].endswith(f" AS {name}")]
    end = min([number for number in starts if number > start], default=len(dockerfile))
    return dockerfile[start + 1 : end]
