"""Every way to launch: whatever ends the server, all spans arrive, from the process that made them."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx
import pytest
from harness import System
from launches import BARE, CHOSEN, TRACED, UNTRACED
from launching import (
    APPS,
    Service,
    assert_all_delivered,
    delivered,
    in_threads,
    only_child,
    start,
    wait_for_workers,
    wait_until_gone,
    wait_until_ready,
)
from processes import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

TERM, INT, QUIT = signal.SIGTERM, signal.SIGINT, signal.SIGQUIT
UVICORN = "uvicorn launch_app:app --host 127.0.0.1 --port {port}"
GUNICORN = "gunicorn launch_app:app --bind 127.0.0.1:{port} --workers 2 -k"
UVICORN_WORKER = "uvicorn_worker.UvicornWorker"
# A worker that replaces another and is just being started does not hear gunicorn's SIGTERM, and is waited for.
IMPATIENT = "--graceful-timeout 3"
HYPERCORN = "hypercorn launch_app:app --bind 127.0.0.1:{port}"
GRANIAN = "granian --interface asgi --host 127.0.0.1 --port {port} --workers 2 launch_app:app"
FASTAPI = "fastapi run launch_app.py --host 127.0.0.1 --port {port}"


@dataclass(frozen=True)
class Launch:
    """`group`: the signal goes to the process group, as from a terminal or a shell; else to the process, as from
    `docker stop`. `graceful`: what is in flight at the signal is finished. `recycles`: workers are replaced meanwhile.
    """

    command: str
    ended_by: signal.Signals = TERM
    group: bool = False
    graceful: bool = True
    recycles: bool = False
    bare: bool = False
    in_shell: bool = False

    def __str__(self) -> str:
        command = self.command.replace(" --host 127.0.0.1 --port {port}", "").replace(" --bind 127.0.0.1:{port}", "")
        how = [self.ended_by.name, *["group"] * self.group, *["bare launcher"] * self.bare]
        return f"{command} ({', '.join(how)})"

    @property
    def workers(self) -> int:
        return 2 if self.command.endswith(" 2") or "--workers 2" in self.command else 1

    def words(self) -> list[str]:
        return ["bash", "-c", self.command] if self.in_shell else self.command.split()


# Each server with one process and with several, each signal to the process and to the group, both launchers: every pair
# of them that a server could treat in a way of its own, not their product. TestPidNamespace has some more.
LAUNCHES = [
    Launch(UVICORN),
    Launch(UVICORN, INT),
    Launch(f"{UVICORN} --workers 2", group=True, bare=True),
    Launch(f"{UVICORN} --workers 2", INT, group=True),
    Launch(f"{UVICORN} --workers 2 --limit-max-requests 60", recycles=True),
    Launch(f"{GUNICORN} asgi"),
    Launch(f"{GUNICORN} asgi --preload", group=True),
    Launch(f"{GUNICORN} asgi", INT, group=True, graceful=False),
    Launch(f"{GUNICORN} asgi --max-requests 60 {IMPATIENT}", recycles=True),
    Launch(f"{GUNICORN} {UVICORN_WORKER} --preload"),
    Launch(f"{GUNICORN} {UVICORN_WORKER}", INT, group=True, bare=True),
    Launch(f"{GUNICORN} {UVICORN_WORKER} --max-requests 60 {IMPATIENT}", recycles=True),
    Launch(HYPERCORN),
    Launch(f"{HYPERCORN} --workers 2", group=True, graceful=False),
    Launch(GRANIAN, bare=True),
    # Not to the group: its workers then hear of it twice, and now and then, traced or not, one of them drops a request,
    # never ends, or has ended before the master knows why, which makes 1 of the exit status (granian 2.8).
    Launch(GRANIAN, INT),
    Launch(FASTAPI),
    Launch("python launch_main.py {port}"),
    Launch("python launch_main.py {port} 2"),
    Launch(f"{UVICORN}; true", group=True, in_shell=True),
]


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    """One receiver for all; each launch has a service name of its own."""
    with System() as made:
        made.start_receiver()
        yield made
    assert made.left_behind() == []


@pytest.fixture
def name(request: pytest.FixtureRequest, system: System) -> Iterator[str]:
    """The service's name; every process of that name is ended after the test."""
    made = f"launch-{len(system.children)}"
    yield made
    for child in [child for other, child in system.children.items() if other.startswith(made)]:
        child.kill()


@pytest.mark.parametrize("launch", LAUNCHES, ids=str)
def test_200_of_200_spans_arrive_and_the_end_is_the_same(system: System, name: str, launch: Launch) -> None:
    launcher, chosen = (BARE, CHOSEN) if launch.bare else (TRACED, {})
    traced = start(system, name, [*launcher, *launch.words()], env=chosen)
    untraced = start(system, f"{name}-untraced", [*UNTRACED, *launch.words()])
    wait_until_ready(traced, untraced)
    wait_for_workers(launch.workers, traced, untraced)

    def use(service: Service) -> None:
        service.send(200 if service is traced else 20)
        slow = None
        if launch.recycles:
            assert wait_for(lambda: service.send(10) or len(service.pids) > 2, 20)
        elif launch.graceful:
            slow = service.begin_slow()
        else:
            service.settle()
        service.end(launch.ended_by, group=launch.group)
        if slow is not None:
            slow.shutdown()
            assert service.lost == []
        wait_until_gone(service)

    in_threads(lambda: use(traced), lambda: use(untraced))
    assert traced.child.returncode == untraced.child.returncode
    assert len(traced.served) >= 200 + 2 * (launch.graceful and not launch.recycles)
    assert_all_delivered(system, name, traced.served)


def test_a_server_that_ends_by_itself(system: System, name: str) -> None:
    service = start(system, name, [*TRACED, *UVICORN.split(), "--limit-max-requests", "200"])
    wait_until_ready(service)
    service.send(200)
    wait_until_gone(service)
    assert service.child.returncode == 0
    assert_all_delivered(system, name, service.served)


def test_requests_before_and_after_a_reload(system: System, name: str) -> None:
    directory = system.directory / name
    directory.mkdir()
    program = directory / "launch_app.py"
    shutil.copy(APPS / "launch_app.py", program)
    service = start(system, name, [*TRACED, *UVICORN.split(), "--reload"], directory=directory)
    wait_until_ready(service)
    service.send(100)
    service.settle()
    (before,) = service.pids
    program.write_text(program.read_text() + "# changed\n")
    assert wait_for(lambda: service.send(1) or len(service.pids) > 1, 20), service.child.output_end()
    service.send(100)
    service.end(TERM, group=False)
    wait_until_gone(service)
    assert before in service.served.values()
    assert_all_delivered(system, name, service.served)
    assert service.child.returncode == 0


class TestPidNamespace:
    """PID 1 survives a signal that it raises on itself without a handler, and then ends by returning."""

    @pytest.fixture
    def unshare(self) -> list[str]:
        command = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc"]
        done = subprocess.run([*command, "true"], capture_output=True, text=True, check=False, timeout=20)
        if done.returncode:
            pytest.skip(f"no PID NAMESPACE can be made here, so nothing is known about PID 1: {done.stderr.strip()}")
        return command

    @pytest.mark.parametrize(
        "words",
        [
            UVICORN.split(),
            [*UVICORN.split(), "--workers", "2"],
            [*GUNICORN.split(), UVICORN_WORKER],
            ["bash", "-c", f"trap 'kill -TERM $!' TERM; {UVICORN} & wait $!; wait $!"],
        ],
        ids=["uvicorn is PID 1", "uvicorn --workers 2 is PID 1", "gunicorn is PID 1", "PID 1 is an init"],
    )
    def test_200_of_200(self, system: System, name: str, unshare: list[str], words: list[str]) -> None:
        traced = start(system, name, [*unshare, *TRACED, *words])
        untraced = start(system, f"{name}-untraced", [*unshare, *UNTRACED, *words])
        wait_until_ready(traced, untraced)
        wait_for_workers(2 if "--workers" in words else 1, traced, untraced)
        traced.send(200)
        slow = traced.begin_slow()
        for service in (traced, untraced):
            service.end(TERM, group=False, pid=only_child(service.child.pid))
        slow.shutdown()
        wait_until_gone(traced, untraced)
        assert traced.child.returncode == untraced.child.returncode
        assert len(traced.served) == 202
        assert_all_delivered(system, name, traced.served)


ENDINGS = {
    "returns": 0,
    "raises": 1,
    "sys.exit": 1,
    "sys.exit in a thread": 0,
    "sys.exit in asyncio.run": 4,
    "os._exit": 6,
    "os._exit in a thread": 6,
    "SIGTERM": -TERM,
    "SIGTERM in asyncio.run": -TERM,
    "SIGINT": -INT,
    "own handler": 7,
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_script_delivers_its_spans_and_ends_as_it_would(system: System, name: str, ending: str) -> None:
    words = ["python", "launch_script.py", ending]
    traced = start(system, name, [*TRACED, *words])
    untraced = start(system, f"{name}-untraced", [*UNTRACED, *words])
    for service in (traced, untraced):
        if ENDINGS[ending] < 0 or ending == "own handler":
            service.child.wait_until(lambda service=service: "ready" in service.child.output(), "ready", 20)  # type: ignore[misc]
            service.end(INT if ending == "SIGINT" else TERM, group=False)
    wait_until_gone(traced, untraced)
    assert traced.child.returncode == untraced.child.returncode == ENDINGS[ending]
    assert ("the application's own handler" in traced.child.output()) == (ending == "own handler")
    wait_for(lambda: len(delivered(system, name)) >= 20, 5)
    assert sorted(span["name"] for span in delivered(system, name)) == sorted(f"span {number}" for number in range(20))


def test_an_impatient_second_sigint_still_delivers(system: System, name: str) -> None:
    """The server gives up the requests in flight then."""
    traced = start(system, name, [*TRACED, *UVICORN.split()])
    untraced = start(system, f"{name}-untraced", [*UNTRACED, *UVICORN.split()])
    wait_until_ready(traced, untraced)
    traced.send(200)
    for service in (traced, untraced):
        with httpx.stream("GET", f"{service.url}/endless") as response:
            assert response.status_code == 200
            service.end(INT, group=False)
            service.child.wait_until(
                lambda service=service: "Waiting for connections" in service.child.output(), "waiting", 20
            )  # type: ignore[misc]
            service.end(INT, group=False)
            wait_until_gone(service)
    assert traced.child.returncode == untraced.child.returncode
    assert_all_delivered(system, name, traced.served)


DEFAULT_DELAY = {"OTEL_BSP_SCHEDULE_DELAY": ""}


class TestKilled:
    """SIGKILL cannot be caught: what is lost is what is younger than the batch delay, which is 1 s by default."""

    def test_what_is_older_than_the_delay_is_there(self, system: System, name: str) -> None:
        service = start(system, name, [*TRACED, *UVICORN.split()], env=DEFAULT_DELAY)
        wait_until_ready(service)
        ends = time.monotonic() + 5
        answered: dict[str, float] = {}
        while (now := time.monotonic()) < ends:
            service.send(1)
            time.sleep(0.05)
            answered |= {trace_id: now for trace_id in service.served if trace_id not in answered}
        service.end(signal.SIGKILL, group=False)
        killed = time.monotonic()
        wait_until_gone(service)
        # Twice the delay for a machine that has other things to do.
        old = {one: pid for one, pid in service.served.items() if killed - answered[one] > 3}
        assert len(old) > 10
        assert_all_delivered(system, name, old)

    @pytest.mark.parametrize("worker", ["asgi", UVICORN_WORKER])
    def test_a_worker_that_gunicorn_aborts(self, system: System, name: str, worker: str) -> None:
        """It is killed because it has been silent for the timeout, so whatever it had made is older than the delay."""
        words = [*GUNICORN.split(), worker, "--timeout", "3"]
        service = start(system, name, [*TRACED, *words], env=DEFAULT_DELAY)
        wait_until_ready(service)
        service.send(200)
        service.settle()
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{service.url}/block", timeout=20)
        assert "WORKER TIMEOUT" in service.child.output()
        assert_all_delivered(system, name, service.served)
