"""The compose project as its users meet it: real containers, the real Collector, requests through 127.0.0.1."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import docker_engine
import httpx
import pytest
from checks import check_complete, check_failure, check_hops, find_request, requests, trace_of
from compose_project import CHAIN, Project, chat, url_of
from processes import wait_for

if TYPE_CHECKING:
    from tracebaton.view.spans import Span

pytestmark = pytest.mark.e2e
REPLY = {"text": "You said: hello", "hops": list(CHAIN)}


def chat_is_one_trace(project: Project) -> str:
    """Send a chat through all three services; its trace, as the Collector wrote it, is whole. Returns its id."""
    before = {span.trace_id for span in project.spans()}
    response = chat(project.url("agent-a"))
    assert (response.status_code, response.json()) == (200, REPLY)
    # Each hop is one SERVER span and one of Redis, and two of them call the next: 8 spans.
    spans = project.wait_for_spans(lambda spans: len([one for one in spans if one.trace_id not in before]) >= 8)
    new = [span for span in spans if span.trace_id not in before]
    claims = [*check_hops("chat", new, find_request(new, "agent-a", "/chat", 200), CHAIN, "/chat"), check_complete(new)]
    assert [claim.problem for claim in claims if not claim.holds] == []
    assert len(new) == 8
    return new[0].trace_id


class TestChat:
    def test_is_one_trace_through_three_services_and_redis(self, project: Project) -> None:
        chat_is_one_trace(project)

    def test_that_fails_shows_where(self, project: Project) -> None:
        before = {span.trace_id for span in project.spans()}
        assert chat(project.url("agent-a"), "please fail").status_code == 502
        spans = project.wait_for_spans(lambda spans: len([one for one in spans if one.trace_id not in before]) >= 8)
        new = [span for span in spans if span.trace_id not in before]
        failing = find_request(new, "agent-a", "/chat", 502)
        assert failing is not None
        assert check_failure(new, failing, "agent-b", "/chat").problem == ""
        assert {span.service for span in trace_of(new, failing)} == set(CHAIN)

    def test_every_span_says_which_container_it_is_from(self, project: Project) -> None:
        chat_is_one_trace(project)
        for service in CHAIN:
            ids = {span.resource["container.id"] for span in project.spans() if span.service == service}
            assert project.container(service).id in ids

    def test_timeline_shows_its_lines_from_all_containers(self, project: Project) -> None:
        trace_id = chat_is_one_trace(project)
        command = [sys.executable, "-m", "tracebaton.cli", "timeline", "--project", project.name, trace_id]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=os.environ)
        assert done.returncode == 0, done.stdout + done.stderr
        received = [line for line in done.stdout.splitlines() if "chat received" in line]
        assert len(received) == len(CHAIN)
        for line, service in zip(received, CHAIN, strict=True):
            assert service in line


class TestSwitch:
    def test_one_container_off_leaves_the_trace_whole_around_it(self, project: Project) -> None:
        """The backend forwards the headers that it gets, and says nothing itself."""
        forwarding = {"FORWARD_HEADERS": "traceparent,tracestate"}
        try:
            project.up("backend", BACKEND_OTEL_SDK_DISABLED="true", **forwarding)
            before = {span.trace_id for span in project.spans()}
            assert chat(project.url("agent-a")).json() == REPLY
            spans = project.wait_for_spans(lambda spans: len(_new(spans, before)) >= 5)
            new = _new(spans, before)
            assert len({span.trace_id for span in new}) == 1
            assert {span.service for span in new} == {"agent-a", "agent-b"}
            assert check_complete(new).problem == ""
            (first,), (last,) = requests(new, "agent-a", "/chat"), requests(new, "agent-b", "/chat")
            (call,) = [span for span in new if span.span_id == last.parent_span_id]
            assert (call.service, call.kind, call.parent_span_id) == ("agent-a", "CLIENT", first.span_id)
            lines = project.container("backend").logs().decode()
            assert "INFO agent: chat received" in lines
            assert "trace_id" not in lines
        finally:
            project.up("backend")
        chat_is_one_trace(project)

    def test_it_restarts_no_other_container(self, project: Project) -> None:
        started = {name: _started_at(project, name) for name in ("agent-a", "backend", "redis", "otel-collector")}
        try:
            project.up("agent-b", AGENT_B_OTEL_SDK_DISABLED="true")
            assert {name: _started_at(project, name) for name in started} == started
        finally:
            project.up("agent-b")


class TestHardened:
    def test_agents_have_no_rights_and_no_place_to_write(self, project: Project) -> None:
        chat_is_one_trace(project)
        for service in CHAIN:
            container = project.container(service)
            host = container.attrs["HostConfig"]
            assert (host["CapDrop"], host["ReadonlyRootfs"]) == (["ALL"], True)
            assert container.exec_run(["id", "-u"]).output.strip() == b"1000"
            assert container.exec_run(["touch", "/app/x"]).exit_code != 0
            script = "printf '#!/bin/sh\\n' >/tmp/x && chmod +x /tmp/x && /tmp/x"
            code, output = container.exec_run(["sh", "-c", script])
            assert (code, b"Permission denied" in output) == (126, True)

    def test_any_user_will_do(self, project: Project) -> None:
        """As on OpenShift: a user id that no file knows, in the group 0."""
        container = project.run("any-user", user="54321:0")
        url = url_of(container)
        project.wait_until_it_answers(url)
        assert httpx.post(f"{url}/agents/x/heartbeat", trust_env=False).status_code == 204
        spans = project.wait_for_spans(lambda spans: requests(spans, "any-user", "/heartbeat"))
        assert len(requests(spans, "any-user", "/heartbeat")) == 1
        assert container.exec_run(["id", "-u"]).output.strip() == b"54321"


class TestWrongSetting:
    def test_ends_a_strict_container_at_once_and_its_log_says_why(self, project: Project) -> None:
        environment = {"OTEL_TRACEBATON_STRICT": "true", "OTEL_TRACES_SAMPLER_ARG": "POST /chat=1O%"}
        container = project.run("strict", environment=environment)
        assert container.wait(timeout=30)["StatusCode"] == 78
        (line,) = [line for line in container.logs().decode().splitlines() if "OTEL_TRACES_SAMPLER_ARG" in line]
        assert "OTEL_TRACES_SAMPLER_ARG='POST /chat=1O%' is wrong in rule 1" in line
        assert "(expected " in line
        assert "Uvicorn running" not in container.logs().decode()

    def test_leaves_another_container_running(self, project: Project) -> None:
        container = project.run("lenient", environment={"OTEL_TRACES_SAMPLER_ARG": "POST /chat=1O%"})
        project.wait_until_it_answers(url_of(container))
        assert "OTEL_TRACES_SAMPLER_ARG='POST /chat=1O%' is wrong in rule 1" in container.logs().decode()


class TestComposeVersions:
    def test_compose_v2_starts_the_same_system(self, engine: Any, collector_image: str, demo_image: str) -> None:
        compose = docker_engine.compose_2()
        if compose is None:
            docker_engine.missing(
                "it is not installed; tests/docker/compose_v2.sh builds it", "COMPOSE V2 WAS NOT TESTED"
            )
        with Project(engine, compose, demo_image) as project:
            project.compose("config", "--quiet")
            assert "jaeger" in project.compose("--profile", "ui", "config", "--services").split()
            assert "jaeger" not in project.compose("config", "--services").split()
            project.up()
            chat_is_one_trace(project)

    def test_docker_compose_1_29_knows_the_profile(self, project: Project) -> None:
        """The UI itself is not started: its image is none of those that can be made here."""
        assert "jaeger" in project.compose("--profile", "ui", "config", "--services").split()


def test_collector_says_that_it_is_healthy(project: Project) -> None:
    container = project.container("otel-collector")
    (binding,) = container.ports["13133/tcp"]
    url = f"http://127.0.0.1:{binding['HostPort']}"
    assert wait_for(lambda: httpx.get(url, trust_env=False).status_code == 200, 10, 0.2)


def _new(spans: list[Span], before: set[str]) -> list[Span]:
    return [span for span in spans if span.trace_id not in before]


def _started_at(project: Project, service: str) -> str:
    return str(project.container(service).attrs["State"]["StartedAt"])
