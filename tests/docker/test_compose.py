"""The compose file, Dockerfile and Collector configuration agree with each other and with the design.

Nothing is started here; the files are read as docker-compose, docker and the Collector would read them.
"""

from __future__ import annotations

import ast
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from tracebaton_configurator import environment_variables as own_variables

ROOT = Path(__file__).resolve().parents[2]
AGENTS = ("agent-a", "backend", "agent-b")
OTLP_GRPC_PORT = 4317

# The specification's, as far as the design speaks of them.
# https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
STANDARD = {
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
    "OTEL_LOGS_EXPORTER",
    "OTEL_METRICS_EXPORTER",
    "OTEL_PROPAGATORS",
    "OTEL_PYTHON_CONFIGURATOR",
    "OTEL_PYTHON_DISTRO",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_SDK_DISABLED",
    "OTEL_SERVICE_NAME",
    "OTEL_TRACES_EXPORTER",
    "OTEL_TRACES_SAMPLER",
    "OTEL_TRACES_SAMPLER_ARG",
}
OWN = {name for name in vars(own_variables) if name.startswith("OTEL_TRACEBATON_")}


def test_there_are_own_variables_to_know() -> None:
    """Guards the test below, which would let nothing of ours pass, or anything, if they moved."""
    assert "OTEL_TRACEBATON_LOGS" in OWN


class TestCompose:
    def test_services_are_the_demo_system(self, compose: dict[str, Any]) -> None:
        assert set(compose["services"]) == {"redis", "otel-collector", *AGENTS}

    def test_file_is_valid_for_docker_compose_1_29(self, compose: dict[str, Any]) -> None:
        """1.29 needs `version` and refuses keys that came with Compose v2."""
        assert compose["version"] == "3.8"
        top = {key for key in compose if not key.startswith("x-")}
        assert top <= {"version", "services", "networks", "volumes", "configs", "secrets"}
        for service in compose["services"].values():
            assert set(service.get("healthcheck", {})) <= {"test", "interval", "timeout", "retries", "start_period"}

    def test_ports_are_open_to_this_machine_only(self, compose: dict[str, Any]) -> None:
        published = [port for service in compose["services"].values() for port in service.get("ports", [])]
        assert len(published) >= len(AGENTS)
        for port in published:
            assert re.fullmatch(r"127\.0\.0\.1:[0-9]+:[0-9]+", port), port
        assert len({port.split(":")[1] for port in published}) == len(published)

    def test_images_are_pinned_by_version(self, compose: dict[str, Any]) -> None:
        images = {name: service["image"] for name, service in compose["services"].items() if "image" in service}
        assert set(images) == {"redis", "otel-collector"}
        for image in images.values():
            assert re.search(r":v?[0-9]", image), image
        assert re.fullmatch(r"otel/opentelemetry-collector-contrib:[0-9]+\.[0-9]+\.[0-9]+", images["otel-collector"])

    def test_collector_gets_the_configuration_it_is_started_with(self, compose: dict[str, Any]) -> None:
        collector = compose["services"]["otel-collector"]
        (volume,) = collector["volumes"]
        source, target, mode = volume.split(":")
        assert (ROOT / source).is_file()
        assert mode == "ro"
        assert collector["command"] == [f"--config={target}"]

    def test_collector_has_no_health_check_of_its_own(self, compose: dict[str, Any]) -> None:
        """Its image has no shell and no client: whatever it ran would fail."""
        assert "healthcheck" not in compose["services"]["otel-collector"]

    def test_everything_starts_after_what_it_needs(self, compose: dict[str, Any]) -> None:
        services = compose["services"]
        for name in AGENTS:
            after = {other: how["condition"] for other, how in services[name]["depends_on"].items()}
            next_agent = services[name]["environment"].get("NEXT_URL")
            expected = {"redis": "service_healthy", "otel-collector": "service_started"}
            if next_agent:
                expected[re.fullmatch(r"http://([a-z-]+):8000", next_agent)[1]] = "service_healthy"  # type: ignore[index]
            assert after == expected
        for name in ("redis", *AGENTS):
            assert services[name]["healthcheck"]["test"][0] == "CMD"


@pytest.mark.parametrize("name", AGENTS)
class TestAgent:
    def test_every_otel_variable_is_known(self, compose: dict[str, Any], name: str) -> None:
        used = {variable for variable in compose["services"][name]["environment"] if variable.startswith("OTEL_")}
        assert used
        assert used <= STANDARD | OWN

    def test_endpoint_is_the_collector_on_its_grpc_port(self, compose: dict[str, Any], name: str) -> None:
        endpoint = compose["services"][name]["environment"]["OTEL_EXPORTER_OTLP_ENDPOINT"]
        assert endpoint == f"http://otel-collector:{OTLP_GRPC_PORT}"
        assert "otel-collector" in compose["services"]

    def test_is_named_after_itself(self, compose: dict[str, Any], name: str) -> None:
        environment = compose["services"][name]["environment"]
        assert environment["OTEL_SERVICE_NAME"] == environment["AGENT_NAME"] == name

    def test_has_a_switch_of_its_own(self, compose: dict[str, Any], name: str) -> None:
        """The operator's variable carries the container's name, and tracing is on unless it is set."""
        switch = compose["services"][name]["environment"]["OTEL_SDK_DISABLED"]
        prefix = name.upper().replace("-", "_")
        assert switch == f"${{{prefix}_OTEL_SDK_DISABLED:-false}}"

    def test_command_is_the_image_s(self, compose: dict[str, Any], name: str) -> None:
        """What is shown is a change of the CMD; a command here would hide it."""
        service = compose["services"][name]
        assert "command" not in service
        assert "entrypoint" not in service
        assert service["build"]["dockerfile"] == "docker/Dockerfile"

    def test_runs_without_privileges(self, compose: dict[str, Any], name: str) -> None:
        service = compose["services"][name]
        assert service["user"] == "1000"
        assert service["cap_drop"] == ["ALL"]
        assert service["read_only"] is True
        assert service["tmpfs"] == ["/tmp:noexec"]  # noqa: S108 - a mount


class TestDockerfile:
    def test_starts_through_the_launcher(self, dockerfile: list[tuple[str, str]]) -> None:
        (command,) = [json.loads(rest) for word, rest in dockerfile if word == "CMD"]
        assert command[:3] == ["opentelemetry-instrument", "uvicorn", "main:app"]

    def test_base_image_is_an_argument(self, dockerfile: list[tuple[str, str]], compose: dict[str, Any]) -> None:
        assert dockerfile[:2] == [("ARG", "PYTHON_VERSION=3.11-slim"), ("FROM", "python:${PYTHON_VERSION}")]
        for name in AGENTS:
            arguments = compose["services"][name]["build"]["args"]
            assert arguments == {"PYTHON_VERSION": "${PYTHON_VERSION:-3.11-slim}"}

    def test_says_which_distro_configures(self, dockerfile: list[tuple[str, str]]) -> None:
        pairs = [pair for word, rest in dockerfile if word == "ENV" for pair in shlex.split(rest)]
        variables = dict(pair.split("=", 1) for pair in pairs)
        assert variables["OTEL_PYTHON_DISTRO"] == "tracebaton"
        assert variables["OTEL_PYTHON_CONFIGURATOR"] == "tracebaton"
        assert {name for name in variables if name.startswith("OTEL_")} <= STANDARD | OWN

    def test_last_user_is_not_root(self, dockerfile: list[tuple[str, str]]) -> None:
        assert [rest for word, rest in dockerfile if word == "USER"][-1] == "1000"

    def test_builds_with_the_classic_builder(self, dockerfile: list[tuple[str, str]]) -> None:
        """Docker 20.10's default builder has no mounts, no COPY --chmod, no heredocs and no syntax line."""
        assert not re.search(r"^#\s*syntax\s*=", (ROOT / "docker/Dockerfile").read_text(), re.MULTILINE)
        for word, rest in dockerfile:
            assert not rest.startswith(("--mount", "--chmod", "--network", "--security", "--link")), (word, rest)
            assert "<<" not in rest

    def test_what_it_copies_reaches_the_builder(self, dockerfile: list[tuple[str, str]]) -> None:
        allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
        copied = {source for word, rest in dockerfile if word == "COPY" for source in rest.split()[:-1]}
        assert copied == allowed
        for source in copied:
            assert (ROOT / source).exists(), source


class TestCollector:
    def test_memory_limiter_is_first_and_batch_follows(self, collector: dict[str, Any]) -> None:
        for pipeline in collector["service"]["pipelines"].values():
            assert pipeline["processors"][0] == "memory_limiter"
            assert "batch" in pipeline["processors"][1:]

    def test_pipelines_use_only_what_is_configured(self, collector: dict[str, Any]) -> None:
        for pipeline in collector["service"]["pipelines"].values():
            for kind in ("receivers", "processors", "exporters"):
                assert set(pipeline[kind]) <= set(collector[kind])
        assert set(collector["service"]["extensions"]) == set(collector["extensions"]) == {"health_check"}

    def test_listens_on_the_ports_that_compose_publishes(
        self, collector: dict[str, Any], compose: dict[str, Any]
    ) -> None:
        protocols = collector["receivers"]["otlp"]["protocols"]
        listening = {protocols["grpc"]["endpoint"], protocols["http"]["endpoint"]}
        assert listening == {f"0.0.0.0:{OTLP_GRPC_PORT}", "0.0.0.0:4318"}
        published = {port.rsplit(":", 1)[1] for port in compose["services"]["otel-collector"]["ports"]}
        assert published == {endpoint.rsplit(":", 1)[1] for endpoint in listening}

    def test_traces_arrive_over_otlp_and_are_shown(self, collector: dict[str, Any]) -> None:
        traces = collector["service"]["pipelines"]["traces"]
        assert traces["receivers"] == ["otlp"]
        assert "debug" in traces["exporters"]


class TestProgram:
    def test_imports_nothing_of_tracing(self) -> None:
        """The promise is that application code is never edited."""
        imported = set()
        for node in ast.walk(ast.parse((ROOT / "docker/demo/main.py").read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add((node.module or "").split(".")[0])
        assert {"fastapi", "httpx", "redis"} <= imported
        assert not {name for name in imported if name.startswith(("opentelemetry", "tracebaton"))}

    def test_nothing_in_the_demo_names_the_library(self) -> None:
        files = [path for path in (ROOT / "docker/demo").iterdir() if path.is_file()]
        assert files
        for path in files:
            assert "opentelemetry" not in path.read_text().lower(), path

    def test_requirements_are_among_those_of_the_demo_extra(self) -> None:
        """`make demo` and the image run the same program with the same libraries."""
        lines = (ROOT / "docker/demo/requirements.txt").read_text().splitlines()
        required = {line for line in lines if line and not line.startswith("#")}
        extra = re.search(r"^demo = \[.*?\]$", (ROOT / "pyproject.toml").read_text(), re.MULTILINE | re.DOTALL)
        assert extra is not None
        assert required
        assert not {line for line in required if f'"{line}"' not in extra[0]}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    assert isinstance(loaded, dict)
    return loaded


@pytest.fixture(scope="module")
def collector() -> dict[str, Any]:
    loaded = yaml.safe_load((ROOT / "docker/otel-collector.yaml").read_text())
    assert isinstance(loaded, dict)
    return loaded


@pytest.fixture(scope="module")
def dockerfile() -> list[tuple[str, str]]:
    """Its instructions: the word in capitals, and the rest of the line."""
    lines = (ROOT / "docker/Dockerfile").read_text().splitlines()
    parts = [line.split(None, 1) for line in lines if line.strip() and not line.startswith("#")]
    return [(word, rest) for word, rest in parts]
