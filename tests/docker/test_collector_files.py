"""The Collector's configurations agree with the compose file and with what the tests' Collector is built of."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from docker_engine import ROOT

COLLECTOR_CONFIGURATIONS = ("otel-collector.yaml", "gateway/balancing.yaml", "gateway/sampling.yaml")
OTLP_GRPC_PORT = 4317


class TestCollector:
    @pytest.mark.parametrize("name", COLLECTOR_CONFIGURATIONS)
    def test_memory_limiter_is_first_and_batch_last(self, name: str) -> None:
        for pipeline in configuration(name)["service"]["pipelines"].values():
            assert pipeline["processors"][0] == "memory_limiter"
            assert pipeline["processors"][-1] == "batch"

    @pytest.mark.parametrize("name", COLLECTOR_CONFIGURATIONS)
    def test_all_that_is_configured_is_used(self, name: str) -> None:
        loaded = configuration(name)
        (pipeline,) = loaded["service"]["pipelines"].values()
        for kind in ("receivers", "processors", "exporters"):
            assert set(pipeline[kind]) == set(loaded[kind])
        assert loaded["service"]["extensions"] == list(loaded["extensions"]) == ["health_check"]

    def test_test_collector_has_the_components_that_are_configured(self, compose: dict[str, Any]) -> None:
        """And no other; its version is that of the image."""
        manifest = yaml.safe_load((ROOT / "docker/collector/manifest.yaml").read_text())
        image = compose["services"]["otel-collector"]["image"]
        assert image.endswith(f":{manifest['dist']['version']}")
        for kind in ("receivers", "processors", "exporters", "extensions"):
            built = [module["gomod"].split() for module in manifest[kind]]
            assert {version for _, version in built} == {f"v{manifest['dist']['version']}"}
            configured = {
                component.split("/")[0].replace("_", "")
                for name in COLLECTOR_CONFIGURATIONS
                for component in configuration(name)[kind]
            }
            ending = {"extensions": "extension"}.get(kind, kind.removesuffix("s"))
            assert {module.rsplit("/", 1)[1].removesuffix(ending) for module, _ in built} == configured

    def test_listens_on_the_ports_that_compose_publishes(self, compose: dict[str, Any]) -> None:
        collector = configuration("otel-collector.yaml")
        protocols = collector["receivers"]["otlp"]["protocols"]
        listening = {protocols["grpc"]["endpoint"], protocols["http"]["endpoint"]}
        assert listening == {f"0.0.0.0:{OTLP_GRPC_PORT}", "0.0.0.0:4318"}
        listening.add(collector["extensions"]["health_check"]["endpoint"])
        published = {port.rsplit(":", 1)[1] for port in compose["services"]["otel-collector"]["ports"]}
        assert published == {endpoint.rsplit(":", 1)[1] for endpoint in listening}

    def test_traces_are_shown_on_stdout_and_in_the_ui(self, compose: dict[str, Any]) -> None:
        collector = configuration("otel-collector.yaml")
        assert collector["service"]["pipelines"]["traces"]["exporters"] == ["debug", "otlp_http/ui"]
        assert collector["exporters"]["otlp_http/ui"]["endpoint"] == "http://jaeger:4318"
        assert "jaeger" in compose["services"]

    def test_first_tier_finds_the_second_by_trace_id(self) -> None:
        exporter = configuration("gateway/balancing.yaml")["exporters"]["load_balancing"]
        assert exporter["routing_key"] == "traceID"
        assert exporter["resolver"]["dns"]["port"] == str(OTLP_GRPC_PORT)


def configuration(name: str) -> dict[str, Any]:
    loaded = yaml.safe_load((ROOT / "docker" / name).read_text())
    assert isinstance(loaded, dict)
    return loaded
