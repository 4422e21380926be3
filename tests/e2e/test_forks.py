"""Forked children: no deadlock, no span twice, and what a child makes is exported by the child."""

from __future__ import annotations

import json
import signal
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from launches import TRACED
from launching import APPS, HELD, delivered
from processes import wait_for

if TYPE_CHECKING:
    from harness import System
    from processes import Child

# Short, so that exports are under way all the time.
BUSY = {**HELD, "OTEL_BSP_SCHEDULE_DELAY": "20", "OTEL_BSP_MAX_QUEUE_SIZE": "100000"}
SPANS_OF_A_CHILD = 3
STATUS = {"os._exit": 3, "sys.exit": 3, "SIGTERM": -signal.SIGTERM, "fork": 0, "spawn": 0, "forkserver": 0}


def fork_rounds(system: System, way: str, rounds: int, env: dict[str, str], seconds: float) -> Child:
    """Run apps/fork_script.py to its end."""
    environ = {**env, "OTEL_SERVICE_NAME": way}
    child = system.start("forks", [*TRACED, "python", "fork_script.py", way, str(rounds)], env=environ, cwd=APPS)
    wait_for(lambda: child.returncode is not None, seconds)
    assert child.returncode == 0, child.output_end()
    wait_for(child.is_gone, 10)
    return child


def assert_each_exported_its_own(system: System, way: str, child: Child, rounds: int) -> None:
    *children, parent = [json.loads(line) for line in child.stdout.read_text().splitlines() if line[:1] == "{"]
    assert len(children) == rounds
    assert Counter(one["status"] for one in children) == {STATUS[way]: rounds}
    expected = {one["pid"]: SPANS_OF_A_CHILD for one in children}
    total = parent["made"] + rounds * SPANS_OF_A_CHILD
    wait_for(lambda: len(delivered(system, way)) >= total, 5, 0.1)
    spans = delivered(system, way)
    twice = [one for one, count in Counter((span["trace_id"], span["span_id"]) for span in spans).items() if count > 1]
    assert not twice, f"{len(twice)} of {len(spans)} spans were delivered more than once"
    assert by_child(spans) == expected
    # The attribute was set by whoever made the span, the resource's by whoever exported it.
    assert [span for span in spans if span["attributes"]["made by"] != span["resource"]["process.pid"]] == []
    assert [span["resource"]["process.pid"] for span in spans if span["name"] == "parent"] == [child.pid] * parent[
        "made"
    ]


def by_child(spans: list[dict[str, Any]]) -> dict[int, int]:
    return dict(Counter(span["attributes"]["made by"] for span in spans if span["name"] == "child"))


@pytest.mark.parametrize("way", STATUS)
def test_children_export_their_own(system: System, way: str) -> None:
    child = fork_rounds(system, way, 4, {**BUSY, "OTEL_EXPORTER_OTLP_ENDPOINT": system.grpc_endpoint}, seconds=60)
    assert_each_exported_its_own(system, way, child, 4)


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_200_forks_while_the_parent_exports(system: System, protocol: str) -> None:
    endpoint = system.grpc_endpoint if protocol == "grpc" else system.http_endpoint
    env = {**BUSY, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
    child = fork_rounds(system, "os._exit", 200, env, seconds=120)
    assert_each_exported_its_own(system, "os._exit", child, 200)


def test_a_child_does_not_send_what_its_parent_has_queued(system: System) -> None:
    """Nothing leaves before the end here, so the parent's spans are in the queue at every fork."""
    env = {**HELD, "OTEL_EXPORTER_OTLP_ENDPOINT": system.grpc_endpoint, "OTEL_BSP_MAX_QUEUE_SIZE": "100000"}
    env["OTEL_BSP_MAX_EXPORT_BATCH_SIZE"] = "50000"
    child = fork_rounds(system, "os._exit", 10, env, seconds=60)
    assert_each_exported_its_own(system, "os._exit", child, 10)
