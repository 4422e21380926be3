"""The ways into an image that docker/README.md shows, built as they stand there and run with no rights."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import docker_engine
import httpx
import pytest
from checks import requests
from compose_project import Project, url_of
from docker_engine import PYTHON_IMAGE, ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.e2e
OPERATOR_PATH = "/otel-auto-instrumentation-python"
LAUNCHER = "opentelemetry/instrumentation/auto_instrumentation"
# Packages that the layer brings, too, in versions that an application may have pinned.
PINNED = {"requests": "2.31.0", "urllib3": "1.26.18"}
PLAIN = f"""\
FROM {PYTHON_IMAGE}
WORKDIR /app
COPY requirements.txt main.py ./
RUN pip install --no-cache-dir -r requirements.txt {" ".join(f"{name}=={version}" for name, version in PINNED.items())}
CMD ["uvicorn", "main:app", "--host", "0.0.0.0"]
"""


def documented(what: str) -> str:
    """The Dockerfile in docker/README.md that stands under this mark."""
    text = (ROOT / "docker" / "README.md").read_text()
    match = re.search(rf"<!-- tested: {what} -->\n```dockerfile\n(.*?)```", text, re.DOTALL)
    assert match is not None, what
    return match[1]


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An application's folder: its program and its requirements, nothing of ours."""
    folder = tmp_path_factory.mktemp("application")
    for name in ("main.py", "requirements.txt"):
        shutil.copy(ROOT / "docker" / "demo" / name, folder)
    return folder


@pytest.fixture(scope="module")
def build(context: Path, new_tag: Callable[[str], str]) -> Callable[[str, str], str]:
    def from_text(name: str, dockerfile: str) -> str:
        (context / f"{name}.Dockerfile").write_text(dockerfile)
        return docker_engine.build(f"{name}.Dockerfile", new_tag(name), context=context)

    return from_text


@pytest.fixture(scope="module")
def plain(engine: Any, build: Callable[[str, str], str]) -> str:
    """The image of an application that nobody traces."""
    return build("plain", PLAIN)


@pytest.fixture(scope="module")
def layer(engine: Any, new_tag: Callable[[str], str]) -> str:
    """With the stand-in for Python as its carrier, since it has `cp` and busybox cannot be pulled everywhere."""
    arguments = ["--build-arg", f"CARRIER={PYTHON_IMAGE}"]
    dockerfile = "docker/autoinstrumentation/Dockerfile"
    return docker_engine.build_on_kept_stage(dockerfile, "layer", new_tag("layer"), *arguments)


@pytest.fixture(scope="module")
def copied(plain: str, layer: str, build: Callable[[str, str], str]) -> str:
    text = documented("copy").replace("my-application", plain).replace("tracebaton-autoinstrumentation", layer)
    return build("copied", text)


def is_traced(project: Project, name: str, **more: Any) -> Any:
    """Start a container and send a heartbeat, of which the Collector gets the spans; returns the container."""
    container = project.run(name, **more)
    url = url_of(container)
    project.wait_until_it_answers(url)
    assert httpx.post(f"{url}/agents/x/heartbeat", trust_env=False).status_code == 204
    spans = project.wait_for_spans(lambda spans: [span for span in spans if span.service == name][1:])
    assert len(requests(spans, name, "/heartbeat")) == 1
    lines = [json.loads(line) for line in container.logs().decode().splitlines()]
    (access,) = [line for line in lines if "/heartbeat" in line["message"]]
    assert access["trace_id"] == requests(spans, name, "/heartbeat")[0].trace_id
    return container


def test_two_lines_in_a_dockerfile(
    project: Project, plain: str, context: Path, build: Callable[[str, str], str]
) -> None:
    """The first line of the documented file is another: an image that has what an index would have."""
    wheel = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(context / "wheels"), str(ROOT)]
    subprocess.run(wheel, check=True, timeout=120)
    index = build("index", f"FROM {plain}\nCOPY wheels /wheels\nENV PIP_FIND_LINKS=/wheels\n")
    image = build("two-lines", documented("two lines").replace("python:3.11-slim", index))
    is_traced(project, "two-lines", image=image)


class TestLayer:
    def test_copied_into_an_image_traces_its_own_command(self, project: Project, copied: str) -> None:
        is_traced(project, "copied", image=copied)

    def test_on_a_volume_as_the_operator_mounts_it(
        self, project: Project, engine: Any, plain: str, layer: str, volume: str
    ) -> None:
        """Its init container runs this very command, and sets these variables (pkg/instrumentation/python.go)."""
        mount = {volume: {"bind": OPERATOR_PATH, "mode": "rw"}}
        command = ["cp", "-r", "/autoinstrumentation/.", OPERATOR_PATH]
        engine.containers.run(layer, command, volumes=mount, user="0", remove=True)
        environment = {
            "PYTHONPATH": f"{OPERATOR_PATH}/{LAUNCHER}:{OPERATOR_PATH}",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://otel-collector:4318",
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
        }
        mount[volume]["mode"] = "ro"
        is_traced(project, "on-a-volume", image=plain, volumes=mount, environment=environment)

    def test_leaves_the_application_its_own_packages(self, engine: Any, copied: str) -> None:
        code = f"import json, {', '.join(PINNED)}; print(json.dumps([{', '.join(f'{n}.__version__' for n in PINNED)}]))"
        assert in_layer(engine, copied, code) == list(PINNED.values())

    def test_keeps_opentelemetry_as_a_whole(self, engine: Any, copied: str) -> None:
        """The application may have an API of its own, as a dependency of FastAPI's: no half of it is taken."""
        code = (
            "import importlib, json\n"
            "names = ['trace', 'baggage', 'metrics', 'propagators.textmap', 'util.types', 'sdk.metrics']\n"
            "print(json.dumps([importlib.import_module(f'opentelemetry.{name}').__file__ for name in names]))"
        )
        for file in in_layer(engine, copied, code):
            assert file.startswith("/autoinstrumentation/")

    def test_is_readable_by_any_user_and_has_one_distro(self, engine: Any, layer: str) -> None:
        find = "cd /autoinstrumentation && find . ! -perm -a+r; grep -l opentelemetry_distro */entry_points.txt"
        output = engine.containers.run(layer, ["sh", "-c", find], remove=True).decode().split()
        assert [line.split("-")[0] for line in output] == ["tracebaton"]


def in_layer(engine: Any, image: str, code: str) -> Any:
    """What a program prints as JSON on stdout, started with the layer."""
    environment = {"OTEL_TRACES_EXPORTER": "none"}
    output = engine.containers.run(image, ["python", "-c", code], environment=environment, remove=True, stderr=False)
    return json.loads(output)


@pytest.fixture
def volume(engine: Any, project: Project) -> Iterator[str]:
    made = engine.volumes.create(f"{project.name}-layer")
    yield made.name
    for container in engine.containers.list(all=True, filters={"volume": made.name}):
        project.remove(container)
    made.remove(force=True)
