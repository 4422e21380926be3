"""Nothing is lost when a container stops, nor while the Collector is away or cannot be reached."""

from __future__ import annotations

import re
import threading
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from checks import requests
from compose_project import COLLECTOR, Project, url_of
from processes import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from typing_extensions import Self

    from tracebaton.view.spans import Span

pytestmark = pytest.mark.e2e
DOCKER_KILLS_AFTER = 10.0
OUTAGE_SECONDS = 20.0
DISCONNECTED_SECONDS = 8.0
SPANS_OF_A_HEARTBEAT = 2  # the request and its Redis command
SPOOL = "/var/spool/tracebaton"


class Traffic:
    """Heartbeats one after the other, each on a path of its own, so that its span can be told from all others."""

    def __init__(self, url: str, label: str) -> None:
        self.answered: list[str] = []
        self._url = url
        self._label = label
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._send_until_done, daemon=True)

    def send(self, count: int) -> None:
        with httpx.Client(base_url=self._url, trust_env=False, timeout=10) as client:
            for _ in range(count):
                self._send(client)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join(30)

    def arrived(self, spans: list[Span]) -> set[str]:
        paths = {str(span.attributes["http.target"]) for span in requests(spans, self._label, "/heartbeat")}
        return paths & set(self.answered)

    def _send_until_done(self) -> None:
        with httpx.Client(base_url=self._url, trust_env=False, timeout=10) as client:
            while not self._done.wait(0.1):
                self._send(client)

    def _send(self, client: httpx.Client) -> None:
        path = f"/agents/{self._label}-{len(self.answered)}/heartbeat"
        assert client.post(path).status_code == 204
        self.answered.append(path)


@pytest.fixture
def started(project: Project) -> Iterator[Callable[..., tuple[Any, str]]]:
    """Starts agents beside those of the project, and removes them when the test is over."""
    made = []

    def start(name: str, command: list[str] | None = None, **more: Any) -> tuple[Any, str]:
        container = project.run(name, command, **more)
        made.append(container)
        url = url_of(container)
        project.wait_until_it_answers(url)
        return container, url

    yield start
    for container in made:
        project.remove(container)


class TestStop:
    @pytest.mark.parametrize(
        ("name", "init", "workers"), [("alone", False, 1), ("with-init", True, 1), ("two-workers", False, 2)]
    )
    def test_right_after_requests_loses_no_span(
        self, project: Project, started: Callable[..., tuple[Any, str]], name: str, *, init: bool, workers: int
    ) -> None:
        """As PID 1, as a child of Docker's init, and as the supervisor of two processes."""
        command = ["opentelemetry-instrument", "uvicorn", "main:app", "--host", "0.0.0.0", "--workers", str(workers)]
        container, url = started(name, command, init=init)
        traffic = Traffic(url, name)
        traffic.send(50)
        took = stop(container)
        assert took < DOCKER_KILLS_AFTER
        assert container.attrs["State"]["ExitCode"] != 137
        arrive(project, traffic)

    def test_while_the_collector_is_away_is_in_time_and_counted(
        self, project: Project, started: Callable[..., tuple[Any, str]]
    ) -> None:
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector-that-is-gone:4317"}
        container, url = started("no-collector", environment=environment)
        Traffic(url, "no-collector").send(50)
        assert stop(container) < DOCKER_KILLS_AFTER
        assert lost_at_exit(container) == (50 * SPANS_OF_A_HEARTBEAT, 0)


class TestOutage:
    def test_kill_of_the_collector_loses_nothing_with_a_spool_and_is_counted_without(
        self, project: Project, started: Callable[..., tuple[Any, str]]
    ) -> None:
        spool = {
            "volumes": {f"{project.name}_spool": {"bind": SPOOL, "mode": "rw"}},
            "environment": {"OTEL_TRACEBATON_SPOOL_DIR": SPOOL},
        }
        spooling, with_spool = started("spooling", **spool)
        restarted, soon_stopped = started("restarted", **spool)
        forgetful, without = started("forgetful", environment={"OTEL_BSP_MAX_QUEUE_SIZE": "64"})
        kept, put_aside = Traffic(with_spool, "spooling"), Traffic(soon_stopped, "restarted")
        counted = Traffic(without, "forgetful")
        all_seen_before_kill(project, kept, put_aside, counted)
        project.container(COLLECTOR).kill()
        killed = time.monotonic()
        with kept, counted:
            put_aside.send(20)
            assert stop(restarted) < DOCKER_KILLS_AFTER
            time.sleep(max(0.0, killed + OUTAGE_SECONDS - time.monotonic()))
            project.container(COLLECTOR).start()
            restarted.start()
            delivered_again = r"are delivered to \S+ again, after [0-9]+ s: [0-9]+ waited, ([0-9]+) were lost"
            recovered = wait_for(lambda: re.search(delivered_again, log_of(forgetful)), 30, 0.3)
        assert recovered
        assert int(recovered[1]) > 0
        arrive(project, kept)
        arrive(project, put_aside)
        assert stop(spooling) < DOCKER_KILLS_AFTER
        assert "spans were lost" not in log_of(spooling) + log_of(restarted)
        assert stop(forgetful) < DOCKER_KILLS_AFTER
        lost, delivered = lost_at_exit(forgetful)
        assert lost >= int(recovered[1])
        assert lost + delivered == len(counted.answered) * SPANS_OF_A_HEARTBEAT

    def test_collector_out_of_the_network_for_a_while_loses_nothing(
        self, project: Project, started: Callable[..., tuple[Any, str]]
    ) -> None:
        """Nobody refuses a connection then: what is sent is not answered, and its name is not known any more."""
        _, in_memory = started("in-memory")
        spooled = Traffic(project.url("agent-b"), "agent-b")
        waiting = Traffic(in_memory, "in-memory")
        all_seen_before_kill(project, spooled, waiting)
        collector, network = project.container(COLLECTOR), project.network
        network.disconnect(collector)
        with spooled, waiting:
            time.sleep(DISCONNECTED_SECONDS)
            seen = project.spans()
            assert min(len(spooled.answered), len(waiting.answered)) > max(
                map(len, [spooled.arrived(seen), waiting.arrived(seen)])
            )
            network.connect(collector, aliases=[COLLECTOR])
        arrive(project, spooled)
        arrive(project, waiting)


def all_seen_before_kill(project: Project, *traffic: Traffic) -> None:
    """What the Collector has taken and not yet written when it is killed is lost, and none of our doing."""
    for one in traffic:
        one.send(5)
    for one in traffic:
        arrive(project, one)


def arrive(project: Project, traffic: Traffic) -> None:
    """Every request that was answered has its span."""
    sent = set(traffic.answered)
    assert sent
    spans = project.wait_for_spans(lambda spans: traffic.arrived(spans) >= sent, 40)
    assert sent - traffic.arrived(spans) == set()


def stop(container: Any) -> float:
    """`docker stop`; returns how many seconds that took."""
    began = time.monotonic()
    container.stop()
    took = time.monotonic() - began
    container.reload()
    return took


def log_of(container: Any) -> str:
    return str(container.logs().decode())


def lost_at_exit(container: Any) -> tuple[int, int]:
    """How many spans its last line says were lost, and delivered."""
    match = re.search(r"([0-9]+) spans were lost \(.*\); ([0-9]+) were delivered", log_of(container))
    assert match is not None, log_of(container)
    return int(match[1]), int(match[2])
