"""Wrong settings in processes that serve requests: the lines are printed, and what they say is what happens."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from harness import TRACED
from launching import delivered
from log_lines import start
from processes import wait_for

if TYPE_CHECKING:
    from harness import System

CHAT = "/agents/agent-b/chat"
LOGGING = Path(sys.prefix, "company", "logging")


def errors(system: System, name: str) -> list[str]:
    return [line["message"] for line in system.logs(name) if (line["logger"], line["level"]) == ("tracebaton", "ERROR")]


def test_everything_wrong_at_once(system: System) -> None:
    """Each costs itself only: the request is answered, its span arrives, its line is JSON."""
    system.start_redis()
    wrong = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": system.grpc_endpoint.removeprefix("http://"),
        "OTEL_EXPORTER_OTLP_PROTOCOL": "gprc",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "zip",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "10s",
        "OTEL_EXPORTER_OTLP_HEADERS": "secret-token",
        "OTEL_BSP_MAX_QUEUE_SIZE": "1k",
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "5000",
        "OTEL_METRICS_EXPORTER": "prometeus",
        "OTEL_TRACES_SAMPLER_ARG": "POST *=1O%",
        "OTEL_PYTHON_ID_GENERATOR": "xray",
        "OTEL_TRACEBATON_KEEP_ERRORS": "yes",
        "OTEL_TRACEBATON_KEEP_SLOWER_THAN": "2",
        "OTEL_TRACEBATON_LOGS": "text",
        "OTEL_TRACEBATON_SHUTDOWN_TIMEOUT": "0s",
        "OTEL_TRACEBATON_SPOOL_MAX_MB": "64MB",
        "OTEL_TRACEBATON_TRUST_PARENT": "private",
        "OTEL_TRACEBATON_CHILDREN": "no",
        "OTEL_TRACEBATON_STRICT": "1",
        "OTEL_PROPAGATORS": "w3c",
    }
    url = system.start_agent("agent-b", env=wrong)
    assert httpx.post(url + CHAT, json={"text": "hello"}).status_code == 200
    system.stop_agents()
    (server,) = delivered(system, "agent-b", kind="SERVER")
    said = errors(system, "agent-b")
    output = system.children["agent-b"].output()
    # The launching command says this one before there is anything to write JSON.
    assert output.count("ERROR: tracebaton: OTEL_PROPAGATORS='w3c' has 'w3c', which no installed package provides") == 1
    assert sorted(line.partition("=")[0] for line in said) == sorted(set(wrong) - {"OTEL_PROPAGATORS"})
    assert "secret-token" not in output
    chats = [line for line in system.logs("agent-b") if line["logger"] == "agent" and "chat" in line["message"]]
    assert {line["trace_id"] for line in chats} == {server["trace_id"]}


@pytest.mark.parametrize(
    ("propagators", "connected"),
    [("none", False), ("tracecontxt", True), (" tracecontext,", True)],
)
def test_propagators(system: System, propagators: str, connected: bool) -> None:  # noqa: FBT001 (a parameter of the test)
    """Upstream answers 500 to every request for `none`, and ends the application for the other two."""
    system.start_redis()
    environ = {"OTEL_PROPAGATORS": propagators, "OTEL_TRACES_SAMPLER": "parentbased_always_on"}
    last = system.start_agent("agent-b", env=environ)
    first = system.start_agent("agent-a", last, environ)
    assert httpx.post(first + CHAT, json={"text": "hello"}).json()["hops"] == ["agent-a", "agent-b"]
    system.stop_agents()
    (one,) = delivered(system, "agent-a", kind="SERVER")
    (other,) = delivered(system, "agent-b", kind="SERVER")
    assert (one["trace_id"] == other["trace_id"]) is connected


@pytest.mark.skipif(
    not LOGGING.is_dir(),
    reason="opentelemetry-instrumentation-logging is not there: OTEL_PYTHON_LOG_CORRELATION was NOT tested",
)
def test_upstreams_log_correlation_takes_nothing_from_the_application(system: System) -> None:
    """It calls `basicConfig` before the application does, whose call then does nothing: the line is JSON still."""
    environ = {
        "OTEL_PYTHON_LOG_CORRELATION": "true",
        "PYTHONPATH": str(LOGGING),
        "COMPANY_SPANS": str(system.directory / "spans"),
    }
    url = start(system, "shop", "company_setup", TRACED, **environ)
    trace_id = httpx.get(f"{url}/work/1").json()["trace_id"]
    lines = wait_for(lambda: [line for line in system.logs("shop") if line["logger"] == "app"], 5)
    assert [(line["message"], line["trace_id"]) for line in lines] == [("working on 1", trace_id)]
