"""Who is told without `--service`, in a network of their own: nobody else's processes are asked here.

The network is what containers of a pod share, and services on one machine; a container of its own is one with mounts of
its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tracebaton_configurator.live.container import container, namespace

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
LIVE = HERE.parents[1] / "configurator" / "live" / "live_process.py"
FAKE = HERE / "fake_listeners.py"
OTHER_CONTAINER = ("unshare", "--mount")


class Network:
    """Runs processes in one network namespace."""

    def __init__(self) -> None:
        self.holder = subprocess.Popen(
            ["unshare", "--net", sys.executable, "-c", "print('ready', flush=True); input()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.holder.stdout is not None
        if self.holder.stdout.readline() != "ready\n":
            assert self.holder.stderr is not None
            pytest.skip(f"no network namespace can be made: NOT tested: {self.holder.stderr.read()}")
        self.enter = ("nsenter", "--target", str(self.holder.pid), "--net")

    @contextmanager
    def process(self, *words: str) -> Iterator[subprocess.Popen[str]]:
        """A process that says it is ready, for the time of a block."""
        with subprocess.Popen(
            [*self.enter, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stdout.readline().startswith("ready")
            yield process
            process.stdin.close()

    def service(self, name: str, *wrapper: str) -> Any:
        return self.process(*wrapper, sys.executable, str(LIVE), name)

    def run(self, *words: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        command = [*self.enter, sys.executable, "-m", "tracebaton.cli", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == status, (done.stdout, done.stderr)
        return done

    def states(self) -> dict[int, bool]:
        said = [json.loads(line) for line in self.run("status", "--json").stdout.splitlines()]
        return {one["pid"]: one["on"] for one in said}


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    network = Network()
    yield network
    network.holder.kill()
    network.holder.communicate()


class TestOneService:
    def test_its_processes_are_one(self, network: Network) -> None:
        """Workers, forked or not, need no word more."""
        with network.service("agent-a") as first, network.service("agent-a") as second:
            assert first.stdin is not None
            assert first.stdout is not None
            first.stdin.write("fork\n")
            first.stdin.flush()
            child = int(first.stdout.readline())
            deadline = time.monotonic() + 10
            while len(network.states()) < 3 and time.monotonic() < deadline:
                pass  # until the child listens
            network.run("off")
            assert network.states() == {first.pid: False, second.pid: False, child: False}
            network.run("on")
            network.run("set", "sampling", "*=0")
            assert network.states() == {first.pid: True, second.pid: True, child: True}
            subprocess.run(["kill", "-9", str(child)], check=True)

    def test_one_that_does_not_answer_is_told_nothing(self, network: Network) -> None:
        """Of which service it is nobody knows."""
        with network.service("agent-a") as first, network.service("agent-b") as stopped:
            subprocess.run(["kill", "-STOP", str(stopped.pid)], check=True)
            try:
                done = network.run("off", status=1)
            finally:
                subprocess.run(["kill", "-CONT", str(stopped.pid)], check=True)
            assert f"Process {stopped.pid} does not answer" in done.stderr
            assert network.states() == {first.pid: False, stopped.pid: True}


@pytest.fixture(scope="class")
def two(network: Network) -> Iterator[dict[str, int]]:
    with network.service("agent-a") as first, network.service("agent b") as second:
        yield {"agent-a": first.pid, "agent b": second.pid}


class TestMoreThanOne:
    @pytest.mark.parametrize(
        ("words", "told"),
        [
            (["off"], "tracebaton off"),
            (["off", "--for", "10m"], "tracebaton off --for 600s"),
            (["on"], "tracebaton on"),
            (["set", "sampling", "POST /chat=1, *=0"], "tracebaton set sampling 'POST /chat=1, *=0'"),
            (["set", "sampling", "reset", "--json"], "tracebaton set sampling reset"),
        ],
    )
    def test_services_are_named_and_nothing_is_changed(
        self, network: Network, two: dict[str, int], words: list[str], told: str
    ) -> None:
        before = network.run("status", "--json").stdout
        done = network.run(*words, status=2)
        assert done.stdout == ""
        assert done.stderr.splitlines() == [
            f"tracebaton: Nothing was changed: `{words[0]}` would reach more than the one service of this container.",
            f"  agent b: process {two['agent b']}",
            f"  agent-a: process {two['agent-a']}",
            "Say which service is meant, or that all are:",
            f"  {told} --service 'agent b'",
            f"  {told} --service agent-a",
            f"  {told} --all",
        ]
        assert network.run("status", "--json").stdout == before

    def test_what_it_says_can_be_done(self, network: Network, two: dict[str, int]) -> None:
        network.run("off", "--service", "agent b")
        assert network.states() == {two["agent-a"]: True, two["agent b"]: False}
        network.run("off", "--all")
        assert network.states() == {two["agent-a"]: False, two["agent b"]: False}
        network.run("on", "--all")
        assert set(network.states().values()) == {True}

    def test_not_both(self, network: Network) -> None:
        assert "not allowed with" in network.run("off", "--all", "--service", "x", status=2).stderr


class TestAnotherContainer:
    def test_of_the_same_service(self, network: Network) -> None:
        """Two replicas that share their process ids and their network."""
        with network.service("agent-a") as here, network.service("agent-a", *OTHER_CONTAINER) as there:
            done = network.run("off", status=2)
            assert f"  agent-a: process {here.pid}\n" in done.stderr
            assert f"  agent-a: process {there.pid}, in another container (" in done.stderr
            assert network.states() == {here.pid: True, there.pid: True}
            assert network.run("status").stdout.count(", another one\n") == 1
            network.run("off", "--service", "agent-a")
            assert network.states() == {here.pid: False, there.pid: False}

    def test_alone(self, network: Network) -> None:
        """The container that the command runs in has no traced process, and a neighbour has."""
        with network.service("agent-a", *OTHER_CONTAINER) as there:
            assert f"process {there.pid}, in another container (" in network.run("off", status=2).stderr
            assert network.states() == {there.pid: True}


def test_who_is_told_decides_too(process: Any) -> None:
    """What starts between the question and the command hears a command that is not for it."""
    ours = namespace()
    assert process.ask("off", container=ours + 1) == {"other_service": True}
    assert process.ask("off", container="x") == {"other_service": True}
    assert process.ask()["on"] is True
    assert process.ask("off", container=ours, service=process.service)["on"] is False


def test_listeners_that_pretend(network: Network) -> None:
    """Hundreds of them, of somebody who is believed nothing, cost seconds and hide nobody."""
    with network.service("agent-a") as real, network.process(sys.executable, str(FAKE), str(real.pid), "900") as fake:
        begun = time.monotonic()
        done = network.run("off", status=1)
        assert time.monotonic() - begun < 20
        assert done.stdout.startswith(f"agent-a, process {real.pid} ")
        assert done.stderr == (
            f"tracebaton: Process {fake.pid} does not answer: it is stopped or very busy; it does as it was told if it "
            "goes on.\n"
        )
    with network.service("agent-a"):
        network.run("on")


class TestContainer:
    def test_this_one(self) -> None:
        assert container().namespace == namespace() == Path("/proc/self/ns/mnt").stat().st_ino

    @pytest.mark.parametrize(
        ("root", "name"),
        [
            (f"/var/lib/docker/containers/{'3f2a91c0d4e5' + 'a' * 52}/hostname", "3f2a91c0d4e5"),
            (f"/containers/storage/overlay-containers/{'0123456789ab' + 'b' * 52}/userdata/hosts", "0123456789ab"),
            (f"/var/lib/kubelet/pods/{'a' * 8}-{'b' * 4}-{'c' * 4}-{'d' * 4}-{'e' * 12}/containers/web/1a2b", "web"),
            ("/", ""),
        ],
    )
    def test_its_name(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, root: str, name: str) -> None:
        lines = f"1 2 0:1 / / rw - overlay\n3 1 8:1 {root} /etc/hostname rw - ext4 /dev/sda rw\n"
        (tmp_path / "mountinfo").write_text(lines)
        monkeypatch.setattr("tracebaton_configurator.live.container._MOUNTS", tmp_path / "mountinfo")
        assert container().name == name
