"""`tracebaton timeline` without files: the real program docker, talking to a stand-in for the engine (engine.py)."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import socket
import sys
from contextlib import suppress
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from conftest import Timeline

    Run = Callable[..., subprocess.CompletedProcess[str]]
    MakeLine = Callable[..., str]

pytestmark = pytest.mark.skipif(shutil.which("docker") is None, reason="there is no program docker")


def _stand_in() -> Any:
    """The module beside this one: in importlib mode, tests import nothing from each other by name."""
    spec = spec_from_file_location("timeline_engine", Path(__file__).with_name("engine.py"))
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


_engine = _stand_in()
Container, Engine = _engine.Container, _engine.Engine


@pytest.fixture
def socket_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The path of a socket must be short."""
    return tmp_path_factory.mktemp("e")


def at(seconds: float) -> str:
    return f"2026-11-22T20:17:{seconds:012.9f}Z"


class TestLogs:
    def test_all_containers(
        self, run_timeline: Run, make_line: MakeLine, socket_dir: Path, tmp_path: Path, trace: str
    ) -> None:
        """Of this directory's project: stopped ones too, both streams; the label says the service."""
        a = Container("shop-a-1", "agent-a", directory=str(tmp_path), running=True)
        b = Container("shop-b-1", "agent-b", directory=str(tmp_path))
        other = Container("x-a-1", "x", project="x")
        a.logs += [
            ("stdout", at(9), "starting\n"),
            ("stdout", at(9), make_line(0, "first", **{"service.name": None})),
            ("stderr", at(9.9), make_line(0, "no time", timestamp=None, **{"service.name": None})),
            ("stderr", at(9.9), "Traceback (most recent call last):\n"),
            ("stdout", at(9.9), "print\n"),
            ("stderr", at(9.9), "ValueError: no\n"),
        ]
        b.logs.append(("stdout", at(10), make_line(500, "second", exc_info="x" * 50_000, service="own name")))
        other.logs.append(("stdout", at(9), make_line(0, "not ours")))
        with Engine(socket_dir, a, b, other) as engine:
            done = run_timeline(trace, "--json", DOCKER_HOST=engine.url)
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        assert done.returncode == 0
        assert [(row["service"], row["message"], row["source"]) for row in rows] == [
            ("agent-a", "first", "shop-a-1"),
            ("own name", "second", "shop-b-1"),
            ("agent-a", "no time", "shop-a-1"),
        ]
        assert rows[1]["exception"] == "x" * 50_000
        assert rows[2]["time"] == "2026-11-22T20:17:09.900000Z"
        assert rows[2]["exception"].endswith("ValueError: no")
        assert "2 lines without JSON passed over" in done.stderr

    def test_terminal(self, run_timeline: Run, make_line: MakeLine, socket_dir: Path, trace: str) -> None:
        """A container with a terminal has one stream, without frames, and CR LF."""
        container = Container("shop-a-1", "agent-a", tty=True)
        container.logs.append(("stdout", at(9), make_line(0, "here").replace("\n", "\r\n")))
        with Engine(socket_dir, container) as engine:
            done = run_timeline(trace, "--project", "shop", DOCKER_HOST=engine.url)
        assert done.stdout.endswith("INFO     here\n")

    def test_unreadable_driver(self, run_timeline: Run, make_line: MakeLine, socket_dir: Path, trace: str) -> None:
        """One container whose log cannot be read hides no other."""
        bad = Container("shop-a-1", "a", unreadable="configured logging driver does not support reading")
        good = Container("shop-b-1", "b", logs=[("stdout", at(9), make_line(0, "here"))])
        with Engine(socket_dir, bad, good) as engine:
            done = run_timeline(trace, DOCKER_HOST=engine.url, COMPOSE_PROJECT_NAME="shop")
        assert done.returncode == 2
        assert "here" in done.stdout
        assert "cannot read the log of shop-a-1: configured logging driver does not support reading" in done.stderr


class TestFollow:
    def test_started_later(
        self, start_timeline: Callable[..., Timeline], make_line: MakeLine, socket_dir: Path, trace: str
    ) -> None:
        """New lines; then a container that is new; then the first one again, which has been restarted meanwhile."""
        a = Container("shop-a-1", "agent-a", running=True, logs=[("stdout", at(9), make_line(0, "existing"))])
        with Engine(socket_dir, a) as engine:
            timeline = start_timeline(trace, "-f", "-p", "shop", DOCKER_HOST=engine.url)
            timeline.read_until("existing")
            engine.log(a, "stdout", at(10), make_line(1000, "new line"))
            timeline.read_until("new line")
            b = Container(
                "shop-b-1", "agent-b", running=True, logs=[("stderr", at(11), make_line(2000, "new container"))]
            )
            engine.containers.append(b)
            timeline.read_until("new container")
            engine.restart(a)
            engine.log(a, "stdout", at(12), make_line(3000, "restarted"))
            timeline.read_until("restarted")
            status, err = timeline.interrupt()
        assert status == 130
        assert err == ""
        rows = [line.split("INFO")[1].strip() for line in timeline.lines[2:]]
        assert rows == ["existing", "new line", "new container", "restarted"]

    def test_nothing_is_left_behind(
        self, start_timeline: Callable[..., Timeline], make_line: MakeLine, socket_dir: Path, trace: str
    ) -> None:
        """Whoever ends it, by Ctrl-C or SIGTERM to it alone: what reads a silent container ends too."""
        container = Container("shop-a-1", "a", running=True, logs=[("stdout", at(9), make_line(0, "here"))])
        with Engine(socket_dir, container) as engine:
            for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
                timeline = start_timeline(trace, "-f", "-p", "shop", DOCKER_HOST=engine.url)
                timeline.read_until("here")
                reading = os.pidfd_open(child_that_reads(timeline.process.pid))
                timeline.process.send_signal(number)
                assert timeline.process.wait(20) == status
                assert select.select([reading], [], [], 10)[0]
                os.close(reading)


def child_that_reads(pid: int) -> int:
    """The child that is no `docker ps`, which comes and goes; a thread's list has the children that it started."""
    children = " ".join(each.read_text() for each in Path(f"/proc/{pid}/task").glob("*/children")).split()
    found = []
    for child in children:
        with suppress(OSError):
            found += [int(child)] if b"\0logs\0" in Path(f"/proc/{child}/cmdline").read_bytes() else []
    assert len(found) == 1
    return found[0]


class TestNoDocker:
    def test_no_socket(self, run_timeline: Run, tmp_path: Path, trace: str) -> None:
        done = run_timeline(trace, DOCKER_HOST=f"unix://{tmp_path}/none.sock")
        assert done.returncode == 2
        assert done.stderr.startswith("tracebaton timeline: cannot reach Docker: ")
        assert f"{tmp_path}/none.sock" in done.stderr
        assert done.stderr.count("\n") == 1

    def test_nobody_listens(self, run_timeline: Run, socket_dir: Path, trace: str) -> None:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(f"{socket_dir}/dead.sock")
        done = run_timeline(trace, DOCKER_HOST=f"unix://{socket_dir}/dead.sock")
        assert done.returncode == 2
        assert "cannot reach Docker: " in done.stderr

    def test_no_program(self, run_timeline: Run, tmp_path: Path, trace: str) -> None:
        """A folder named docker, as this project has one, is not taken for the program."""
        done = run_timeline(trace, PATH=str(tmp_path))
        assert done.returncode == 2
        assert "needs the program docker, which cannot be started (No such file or directory); name" in done.stderr
        (tmp_path / "docker").mkdir()
        done = run_timeline(trace, PATH=str(tmp_path))
        assert done.returncode == 2
        assert "needs the program docker, which cannot be started (Permission denied); name" in done.stderr

    def test_unknown_project(self, run_timeline: Run, socket_dir: Path, trace: str) -> None:
        with Engine(socket_dir, Container("shop-a-1", "a")) as engine:
            done = run_timeline(trace, "-p", "nope", DOCKER_HOST=engine.url)
        assert done.returncode == 2
        assert "no container of the compose project 'nope'; projects with containers: shop;" in done.stderr

    def test_wrong_address(self, run_timeline: Run, trace: str) -> None:
        done = run_timeline(trace, DOCKER_HOST="bogus://")
        assert done.returncode == 2
        assert "cannot reach Docker: " in done.stderr
