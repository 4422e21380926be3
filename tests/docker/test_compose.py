"""The compose file and the demo program are as the design wants them.

Nothing is started here; the file is read as docker-compose would read it.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
from otel_names import OWN, STANDARD

ROOT = Path(__file__).resolve().parents[2]
AGENTS = ("agent-a", "backend", "agent-b")
OTLP_GRPC_PORT = 4317


def test_there_are_own_variables_to_know() -> None:
    """Guards the test below, which would let nothing of ours pass, or anything, if they moved."""
    assert "OTEL_TRACEBATON_LOGS" in OWN


class TestCompose:
    def test_services_are_the_demo_system(self, compose: dict[str, Any]) -> None:
        assert set(compose["services"]) == {"redis", "otel-collector", "jaeger", *AGENTS}

    def test_only_the_ui_waits_for_its_profile(self, compose: dict[str, Any]) -> None:
        profiles = {name: service["profiles"] for name, service in compose["services"].items() if "profiles" in service}
        assert profiles == {"jaeger": ["ui"]}

    def test_file_is_valid_for_docker_compose_1_29(self, compose: dict[str, Any]) -> None:
        """1.29 refuses keys that came with Compose v2; v2 warns of `version`, which 1.29 does without."""
        top = {key for key in compose if not key.startswith("x-")}
        assert top <= {"services", "networks", "volumes", "configs", "secrets"}
        for service in compose["services"].values():
            assert set(service.get("healthcheck", {})) <= {"test", "interval", "timeout", "retries", "start_period"}

    def test_ports_are_open_to_this_machine_only(self, compose: dict[str, Any]) -> None:
        published = [port for service in compose["services"].values() for port in service.get("ports", [])]
        assert len(published) >= len(AGENTS)
        defaults = [re.fullmatch(r"127\.0\.0\.1:\$\{[A-Z_]+_PORT-([0-9]+)\}:[0-9]+", port) for port in published]
        assert all(defaults), published
        assert len({match[1] for match in defaults if match}) == len(published)

    def test_images_are_pinned_by_version(self, compose: dict[str, Any]) -> None:
        images = {name: service["image"] for name, service in compose["services"].items() if "image" in service}
        assert {images.pop(name) for name in AGENTS} == {"${DEMO_IMAGE:-tracebaton-demo}"}  # built here
        assert set(images) == {"redis", "otel-collector", "jaeger"}
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

    def test_agents_share_one_block_of_variables(self, compose: dict[str, Any]) -> None:
        shared = compose["x-otel"]
        for name in AGENTS:
            environment = compose["services"][name]["environment"]
            assert {key: environment[key] for key in shared} == shared
            own = {key for key in environment if key.startswith("OTEL_")} - set(shared)
            assert own == {"OTEL_SERVICE_NAME", "OTEL_SDK_DISABLED"}


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
        assert service["tmpfs"] == ["/tmp:noexec,nosuid,nodev"]  # noqa: S108 - a mount
        assert service["security_opt"] == ["no-new-privileges:true"]

    def test_spool_is_a_volume(self, compose: dict[str, Any], name: str) -> None:
        """The root is read-only and /tmp goes with the container."""
        service = compose["services"][name]
        spool = re.fullmatch(
            r"\$\{OTEL_TRACEBATON_SPOOL_DIR-(.*)\}", service["environment"]["OTEL_TRACEBATON_SPOOL_DIR"]
        )
        assert spool is not None
        assert service["volumes"] == [f"spool:{spool[1]}"]
        assert "spool" in compose["volumes"]


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
