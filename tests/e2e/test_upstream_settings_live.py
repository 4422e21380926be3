"""Settings that OpenTelemetry itself fails for, in processes that serve requests: each costs itself only."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import httpx
import pytest
from launching import delivered
from processes import wait_for

if TYPE_CHECKING:
    from harness import System

CHAT = "/agents/agent-b/chat"
WRONG = {
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "unlimited",
    "OTEL_SPAN_EVENT_COUNT_LIMIT": "4k",
    "OTEL_SPAN_LINK_COUNT_LIMIT": "-1",
    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "none",
    "OTEL_PYTHON_EXCLUDED_URLS": "*health*",
    "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST": "*",
    "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SANITIZE_FIELDS": "*",
    "OTEL_SEMCONV_STABILITY_OPT_IN": "htp",
    "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": "proces",
    "OTEL_RESOURCE_ATTRIBUTES": "team=a,broken",
    "OTEL_PYTHON_TRACER_PROVIDER": "mine",
    "OTEL_PYTHON_METER_PROVIDER": "mine",
    "OTEL_BSP_MAX_QUEUE_SIZE": "0",
    "OTEL_EXPORTER_OTLP_HEADERS": "team=a,x=hush%0d%0aX-Evil: 1,te=hush",
}
SAMPLED = {"OTEL_TRACES_SAMPLER": "parentbased_always_on"}


def errors(system: System, name: str) -> list[str]:
    return [line["message"] for line in system.logs(name) if (line["logger"], line["level"]) == ("tracebaton", "ERROR")]


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_a_trace_over_two_services_is_whole(system: System, protocol: str) -> None:
    system.start_redis()
    endpoint = system.grpc_endpoint if protocol == "grpc" else system.http_endpoint
    environ = {
        **WRONG,
        **SAMPLED,
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
        "OTEL_TRACES_EXPORTER": "otlp,console",  # upstream's batch processor reads the size of its queue by itself
    }
    last = system.start_agent("agent-b", env=environ)
    first = system.start_agent("agent-a", last, environ)
    assert httpx.post(first + CHAT, json={"text": "hello"}).json()["hops"] == ["agent-a", "agent-b"]
    assert httpx.get(f"{first}/health").status_code == 200
    system.stop_agents()
    (one,) = delivered(system, "agent-a", kind="SERVER")
    (other,) = delivered(system, "agent-b", kind="SERVER")
    assert one["trace_id"] == other["trace_id"]
    assert other["parent_span_id"] in {span["span_id"] for span in delivered(system, "agent-a", kind="CLIENT")}
    assert one["resource"]["team"] == "a"
    for name in ("agent-a", "agent-b"):
        said = errors(system, name)
        assert sorted({line.partition("=")[0] for line in said}) == sorted(WRONG)
        assert len(said) == len(WRONG) + 1, "two headers are wrong"
        output = system.children[name].output()
        assert "Traceback" not in output
        assert "hush" not in output


def test_two_workers_say_it_once(system: System) -> None:
    system.start_redis()
    environ = {**SAMPLED, "OTEL_SPAN_EVENT_COUNT_LIMIT": "unlimited", "OTEL_PYTHON_EXCLUDED_URLS": "*health*"}
    url = system.start_agent("agent-b", env=environ, arguments=("--workers", "2"))
    assert wait_for(lambda: httpx.get(f"{url}/health").status_code == 200, 20)
    assert httpx.post(url + CHAT, json={"text": "hello"}).status_code == 200
    system.stop_agents()
    said = errors(system, "agent-b")
    assert sorted(line.partition("=")[0] for line in said) == sorted(set(environ) - set(SAMPLED))
    assert len(delivered(system, "agent-b", kind="SERVER")) == 1


@pytest.mark.parametrize("variable", sorted(WRONG))
def test_strict_ends_the_process(system: System, variable: str) -> None:
    environ = {variable: WRONG[variable], "OTEL_TRACEBATON_STRICT": "true", "OTEL_SERVICE_NAME": "script"}
    command = ["tracebaton", "run", sys.executable, "-c", "print('it ran')"]
    child = system.start("script", command, env=environ)
    assert wait_for(lambda: child.returncode is not None, 30), child.output()
    assert child.returncode == 78, child.output()
    assert "it ran" not in child.output()
    assert variable in child.output()
