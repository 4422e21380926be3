"""Live control by `docker exec`, in hardened containers of the compose project, without a restart."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from compose_project import chat

if TYPE_CHECKING:
    from compose_project import Project

pytestmark = pytest.mark.e2e


def execute(project: Project, *arguments: str, user: str = "") -> tuple[int, str]:
    """Run `tracebaton ...` in agent-b as an operator would; status and output."""
    done = project.container("agent-b").exec_run(["tracebaton", *arguments], user=user)
    return done.exit_code, done.output.decode()


def status(project: Project) -> list[dict[str, Any]]:
    code, output = execute(project, "status", "--json")
    assert code == 0, output
    return [json.loads(line) for line in output.splitlines()]


def test_off_and_on(project: Project) -> None:
    (before,) = status(project)
    try:
        assert execute(project, "off")[0] == 0
        known = {span.trace_id for span in project.spans()}
        assert chat(project.url("agent-a")).status_code == 200
        # agent-a and the backend make five spans of it: two of requests, two of calls, one or more of Redis.
        spans = project.wait_for_spans(lambda spans: len([one for one in spans if one.trace_id not in known]) >= 5)
        assert {span.service for span in spans if span.trace_id not in known} == {"agent-a", "backend"}
    finally:
        assert execute(project, "on")[0] == 0
    (after,) = status(project)
    assert (after["on"], after["pid"]) == (True, before["pid"]), "it is the same process: nothing was restarted"
    known = {span.trace_id for span in project.spans()}
    assert chat(project.url("agent-a")).status_code == 200
    project.wait_for_spans(lambda spans: any(one.service == "agent-b" and one.trace_id not in known for one in spans))
    assert any(span.service == "agent-b" and span.trace_id not in known for span in project.spans())


def test_set_sampling_for_a_while(project: Project) -> None:
    code, output = execute(project, "set", "sampling", "POST /agents/{name}/chat=1", "--for", "10m")
    assert code == 0, output
    (process,) = status(project)
    assert "POST /agents/{name}/chat=1" in process["sampler"]
    code, output = execute(project, "set", "sampling", "POST /chat=1O%")
    assert code == 2
    assert "Nothing was changed" in output
    assert status(project)[0]["sampler"] == process["sampler"]
    assert execute(project, "set", "sampling", "reset")[0] == 0


def test_only_its_user_and_root_may(project: Project) -> None:
    assert execute(project, "status", user="0")[0] == 0
    assert execute(project, "off", user="4242")[0] == 1
    assert status(project)[0]["on"]
