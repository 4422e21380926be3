"""The first walk of docs/first-hour.md, with the files and commands that stand there and in the README."""

from __future__ import annotations

import json
import os
import re
import subprocess
import uuid
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import docker_engine
import httpx
import pytest
from compose_project import url_of
from docker_engine import ROOT
from processes import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.e2e
PAGE = (ROOT / "docs" / "first-hour.md").read_text(encoding="utf-8")
WALK = PAGE[: PAGE.index("## Two agents")]
FENCED = re.compile(r"^( +)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
REQUIREMENTS = "fastapi\nuvicorn[standard]\nhttpx\n"
FRONT = """\
import logging

import httpx
from fastapi import FastAPI

logging.basicConfig(level=logging.INFO)
app = FastAPI()


@app.get("/orders/{order}")
async def orders(order: int) -> dict[str, int]:
    logging.info("order %s", order)
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"http://back:8000/stock/{order}")
    return {"stock": answer.raise_for_status().json()}
"""
BACK = """\
import logging

from fastapi import FastAPI

logging.basicConfig(level=logging.INFO)
app = FastAPI()


@app.get("/stock/{item}")
async def stock(item: int) -> int:
    logging.info("stock of %s", item)
    return 100 // (item - 13)
"""


def block(language: str) -> str:
    """The one of that language within the walk, with no indent."""
    (found,) = [text for _, its, text in FENCED.findall(WALK) if its == language]
    return dedent(found)


def commands() -> list[str]:
    """Those that the walk shows, in their order."""
    shown = re.findall(r"^ {8}(\S.*)$|`(docker [^`]*)`", FENCED.sub("", WALK), re.MULTILINE)
    return [indented or within for indented, within in shown]


def changed_dockerfile() -> str:
    """What the README makes of a Dockerfile."""
    (diff,) = re.findall(r"```diff\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    return "".join(line[1:] + "\n" for line in diff.splitlines() if not line.startswith("-"))


def same_but_for_times(text: str) -> str:
    return re.sub(r"[0-9.]+ ms", "N ms", text.strip())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two services with no tracing, after the walk's changes to their files; ports are the engine's choice."""
    made = tmp_path_factory.mktemp("first-hour")
    for name, program in (("front", FRONT), ("back", BACK)):
        (made / name).mkdir()
        (made / name / "main.py").write_text(program)
        (made / name / "requirements.txt").write_text(REQUIREMENTS)
        (made / name / "Dockerfile").write_text(changed_dockerfile())
    cloning = [one.replace("https://.../tracebaton", str(ROOT)) for one in commands() if not one.startswith("docker")]
    subprocess.run(["bash", "-ec", "\n".join(cloning)], cwd=made, check=True, capture_output=True, timeout=60)
    (made / "traces" / "Dockerfile").write_text(block("dockerfile"))
    services = block("yaml").replace("127.0.0.1:4319:4319", "127.0.0.1::4319")
    services = services.replace("build: front\n", "build: front\n  ports: ['127.0.0.1::8000']\n")
    indented = "".join(f"  {line}\n" for line in services.splitlines())
    (made / "docker-compose.yml").write_text(f"services:\n{indented}")
    return made


@pytest.fixture(scope="module")
def compose(engine: Any, folder: Path) -> Iterator[Callable[[str], str]]:
    """Runs one of the page's `docker compose` commands as a project of its own; all is gone at the end."""
    name = f"tracebaton-test-{uuid.uuid4().hex[:8]}"
    environ = {one: value for one, value in os.environ.items() if not one.startswith(("OTEL_", "COMPOSE_"))}
    environ["DOCKER_BUILDKIT"] = "0"

    def run(command: str) -> str:
        words = command.removeprefix("docker compose ").replace("exec ", "exec -T ").split()
        whole = [*docker_engine.compose_1(), "--project-name", name, *words]
        done = subprocess.run(whole, cwd=folder, env=environ, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, f"{whole}\n{done.stdout}{done.stderr}"
        return done.stdout

    try:
        yield run
    finally:
        run("docker compose down --volumes --rmi local --timeout 0")


def test_the_walk_shows_its_commands() -> None:
    assert [one.split()[0] for one in commands()] == ["git", "mkdir", "docker", "docker"]


def test_a_compose_file_with_two_services(compose: Callable[[str], str], engine: Any) -> None:
    up, last_error = (one for one in commands() if one.startswith("docker"))
    compose(up)

    def container(service: str) -> Any:
        return engine.containers.get(compose(f"docker compose ps -q {service}").strip())

    front, back = container("front"), container("back")

    def get(path: str) -> int:
        try:
            return httpx.get(url_of(front) + path, trust_env=False, timeout=5).status_code
        except httpx.TransportError:
            return 0

    assert wait_for(lambda: get("/orders/1") == 200, 30, 0.1), front.logs().decode()
    assert get("/orders/13") == 500

    shown = ""

    def is_told() -> bool:
        nonlocal shown
        try:
            shown = compose(last_error)
        except AssertionError:  # nothing has failed yet, for what has arrived
            return False
        return shown.count("SERVER") >= 3

    assert wait_for(is_told, 20, 0.5), shown
    assert same_but_for_times(block("")) in same_but_for_times(shown)

    printed = (front.logs() + back.logs()).decode().splitlines()
    lines = [json.loads(line) for line in printed if line.startswith("{")]
    ids = {one["message"]: one["trace_id"] for one in lines if "trace_id" in one}
    assert ids["order 13"] == ids["stock of 13"] != ids["order 1"] == ids["stock of 1"]
