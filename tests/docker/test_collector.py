"""The Collector's configurations, read and run by the real Collector."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest
from checks import check_complete, check_hops, requests, trace_of
from collector_log import read_spans
from compose_project import Project, chat, url_of
from docker_engine import ROOT
from processes import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tracebaton.view.spans import Span

pytestmark = pytest.mark.e2e
CONFIGURATIONS = ("otel-collector.yaml", "gateway/balancing.yaml", "gateway/sampling.yaml")
CHATS = 12
CHAIN = ("gateway-a", "gateway-b")
SPANS_OF_A_CHAT = 8  # through three services: SERVER and Redis at each, and two calls between them


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_configuration_is_valid(engine: Any, collector_image: str, name: str) -> None:
    output = engine.containers.run(
        collector_image, ["validate", "--config=/config.yaml"], volumes=mounted(name), remove=True, stderr=True
    )
    assert output == b""


def test_validation_would_notice(engine: Any, collector_image: str, tmp_path: Any) -> None:
    """So that the test above can fail."""
    import docker

    text = (ROOT / "docker" / CONFIGURATIONS[0]).read_text()
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(text.replace("limit_mib", "limit_mb"))
    volumes = {str(wrong): {"bind": "/config.yaml", "mode": "ro"}}
    with pytest.raises(docker.errors.ContainerError, match="limit_mb"):
        engine.containers.run(collector_image, ["validate", "--config=/config.yaml"], volumes=volumes, remove=True)


def test_traces_wait_for_a_ui_that_is_started_later(project: Project) -> None:
    """Another Collector takes the place of Jaeger, whose image cannot be made here."""
    before = {span.trace_id for span in project.spans()}
    assert chat(project.url("agent-a")).status_code == 200

    def of_this_chat() -> list[Span]:
        new = [span for span in project.spans() if span.trace_id not in before]
        return [span for first in requests(new, "agent-a", "/chat") for span in trace_of(new, first)]

    wait_for(lambda: len(of_this_chat()) == SPANS_OF_A_CHAT, 20, 0.3)
    sent = {span.span_id for span in of_this_chat()}
    assert len(sent) == SPANS_OF_A_CHAT
    ui = collector(project, "ui", "otel-collector.yaml", "--set=service::pipelines::traces::exporters=[debug]")
    try:
        rename(project, ui, "jaeger")
        wait_for(lambda: sent <= {span.span_id for span in spans_of(ui)}, 30, 0.3)
        said = project.container("otel-collector").logs(stdout=False, stderr=True).decode()
        assert sent <= {span.span_id for span in spans_of(ui)}, said[-3000:]
    finally:
        project.remove(ui)


class TestGateway:
    """One balancing Collector before two that sample; two agents that send it all they record."""

    def test_every_trace_is_whole_in_one_sampling_collector(
        self, gateway: tuple[Any, Sequence[Any]], agents: Sequence[str]
    ) -> None:
        for _ in range(CHATS):
            assert chat(agents[0]).status_code == 200
        _, samplers = gateway
        # A chat is one SERVER span and one of Redis at each of two hops, and the call between them.
        wait_for(lambda: sum(len(chats(sampler)) for sampler in samplers) >= CHATS * 5, 30, 0.3)
        held = [chats(sampler) for sampler in samplers]
        traces = [{span.trace_id for span in spans} for spans in held]
        assert all(traces)  # both had some: for all to go to one, a coin would have to fall 12 times on one side
        assert traces[0] & traces[1] == set()
        assert len(traces[0] | traces[1]) == CHATS
        for spans in held:
            assert check_complete(spans).problem == ""
            for first in [span for span in spans if span.service == CHAIN[0] and span.kind == "SERVER"]:
                claims = check_hops("chat", spans, first, CHAIN, "/chat")
                assert [claim.problem for claim in claims if claim.problem] == []

    def test_failures_are_kept_and_few_of_the_rest(
        self, gateway: tuple[Any, Sequence[Any]], agents: Sequence[str]
    ) -> None:
        """By the policies: all errors, and of what is neither precious nor slow one in ten."""
        _, samplers = gateway
        for number in range(100):
            url = f"{agents[1]}/agents/rest-{number}/heartbeat"
            assert httpx.post(url, trust_env=False).status_code == 204
        # Last, so that the decisions about the others have been made when it is seen.
        assert chat(agents[1], "please fail").status_code == 500
        wait_for(lambda: any(failures(sampler) for sampler in samplers), 30, 0.3)
        assert sum(len(failures(sampler)) for sampler in samplers) == 1
        kept = {path for sampler in samplers for span in spans_of(sampler) if "rest-" in (path := path_of(span))}
        assert len(kept) < 40  # of 100 at 10 %; 40 or more come once in 10^14 runs


@pytest.fixture(scope="module")
def gateway(project: Project) -> Iterator[tuple[Any, Sequence[Any]]]:
    """The configurations as they are, but for a shorter wait and for what is printed."""
    samplers = [
        collector(
            project,
            f"otel-sampling-{number}",
            "gateway/sampling.yaml",
            "--set=processors::tail_sampling::decision_wait=2s",
            "--set=exporters::debug::verbosity=detailed",
        )
        for number in (1, 2)
    ]
    for sampler in samplers:
        rename(project, sampler, "otel-sampling")
    balancing = collector(project, "otel-gateway", "gateway/balancing.yaml")
    rename(project, balancing, "otel-gateway")
    yield balancing, samplers
    for container in (balancing, *samplers):
        project.remove(container)


@pytest.fixture(scope="module")
def agents(project: Project, gateway: object) -> Iterator[Sequence[str]]:
    """The URLs of two agents, of which the first asks the second."""
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://otel-gateway:4317"}
    last = project.run(CHAIN[1], environment=environment)
    next_url = f"http://{last.name}:8000"
    first = project.run(CHAIN[0], environment={**environment, "NEXT_URL": next_url})
    urls = [url_of(first), url_of(last)]
    for url in urls:
        project.wait_until_it_answers(url)
    yield urls
    for container in (first, last):
        project.remove(container)


def collector(project: Project, name: str, configuration: str, *arguments: str) -> Any:
    command = ["--config=/config.yaml", *arguments]
    container = project.run(name, command, image=project.collector_image, volumes=mounted(configuration), ports={})
    assert wait_for(lambda: b"Everything is ready" in container.logs(), 20, 0.2), container.logs().decode()
    return container


def rename(project: Project, container: Any, alias: str) -> None:
    """Let a container be found under this name in the project's network; several may have the same."""
    project.network.disconnect(container)
    project.network.connect(container, aliases=[alias])


def mounted(configuration: str) -> dict[str, dict[str, str]]:
    return {str(ROOT / "docker" / configuration): {"bind": "/config.yaml", "mode": "ro"}}


def spans_of(container: Any) -> list[Span]:
    return read_spans(container.logs(stdout=True, stderr=False).decode())


def chats(container: Any) -> list[Span]:
    """The spans of all traces that began with a chat."""
    spans = spans_of(container)
    first = {span.trace_id for span in spans if span.service == CHAIN[0]}
    return [span for span in spans if span.trace_id in first]


def failures(container: Any) -> list[Span]:
    return [span for span in spans_of(container) if (span.kind, span.status) == ("SERVER", "ERROR")]


def path_of(span: Span) -> str:
    return str(span.attributes.get("http.target", ""))
