"""Who is answered, what hostile requests bring about, and what becomes of the socket in children and at the end."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from live_processes import HERE, Process, name_of, names_of
from processes import wait_for

from tracebaton_configurator.live.address import name_for
from tracebaton_configurator.live.client import NoAnswerError, ask, ask_process
from tracebaton_configurator.live.message import receive

if TYPE_CHECKING:
    from collections.abc import Callable

NOBODY, SOMEBODY = 65534, 65533
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user: NOT tested")


def connect(name: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(5)
    connection.connect("\0" + name)
    return connection


def raw(process: Process, data: bytes) -> dict[str, Any] | None:
    with connect(process.name) as connection:
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it has heard enough
        return receive(connection, time.monotonic() + 5)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\xff\xfe\x00\n",
        b"[" * 200_000 + b"\n",
        b'{"do": "off", "seconds": NaN}\n',
        b'{"do": "off", "seconds": -Infinity}\n',
        b'{"do": "off", "seconds": "1"}\n',
        b'{"do": "set", "rules": "*=2"}\n',
        b'["off"]\n',
        b'"off"\n',
        b"1e999\n",
        b'{"do": "off"',
        b"x" * 3_000_000,
    ],
    ids=lambda data: repr(data[:30]),
)
def test_a_hostile_request_changes_nothing_and_is_told_so(process: Process, data: bytes) -> None:
    before = process.ask()
    answer = raw(process, data)
    assert answer is not None
    assert answer["error"].endswith("nothing was changed")
    assert process.ask() == before


def test_rules_of_the_greatest_length_arrive(process: Process) -> None:
    rules = ",".join(["/" + "\U0001f6a6" * 250 + "=1"] * 250)
    assert process.ask("set", rules=rules)["sampler_set_by"] == "tracebaton set"


def test_a_client_that_dawdles_is_not_waited_for(process: Process) -> None:
    with connect(process.name) as slow:
        slow.sendall(b"{")
        begun = time.monotonic()
        assert process.ask()["on"] is True
        answer = receive(slow, time.monotonic() + 5)
    assert answer is not None
    assert "did not arrive within 0.5 s" in answer["error"]
    assert time.monotonic() - begun < 5


def test_many_silent_connections_do_not_keep_a_time_from_ending(process: Process) -> None:
    assert process.ask("off", seconds=0.5)["on"] is False
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(connect(process.name))
        assert wait_for(lambda: process.ask()["on"], 10)


def test_more_connections_than_can_wait_are_all_answered(process: Process) -> None:
    from tracebaton.control.talk import ask_all

    with ExitStack() as stack:
        for _ in range(200):
            connection = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            connection.setblocking(False)  # noqa: FBT003
            connection.connect_ex("\0" + process.name)
    assert [one["pid"] for one in ask_all({"do": "status"}, process.service).processes] == [process.pid]


def test_a_time_ends_by_itself_without_a_request(own: Process) -> None:
    own.ask("off", seconds=0.2)
    assert own.popen.stderr is not None
    lines = [own.popen.stderr.readline() for _ in range(2)]
    assert "switched off by an operator for 0.2 s" in lines[0]
    assert "Tracing is on again" in lines[1]


class TestUsers:
    @needs_root
    @pytest.mark.parametrize(("owner", "asker"), [(0, NOBODY), (NOBODY, SOMEBODY)])
    def test_another_user_is_refused_on_both_sides(self, own: Process, owner: int, asker: int) -> None:
        if owner:
            own.do(f"become {owner}")
        found = ask_as(asker, own.name, {"do": "off"})
        assert found["ask"] is None
        assert found["told"]["refused"] is True
        assert f"not user {asker}" in found["told"]["error"]
        assert own.ask()["on"] is True

    @needs_root
    def test_a_process_obeys_the_user_that_it_has_become_and_root(self, own: Process) -> None:
        """As a worker of gunicorn's, which is forked as root."""
        own.do(f"become {NOBODY}")
        found = ask_as(NOBODY, own.name, {"do": "off"})
        assert found["ask"][1]["on"] is False
        assert own.ask("on")["on"] is True

    @needs_root
    def test_another_user_s_socket_is_not_spoken_to(self) -> None:
        name = name_for(os.getpid(), os.urandom(8))
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            become(SOMEBODY, lambda: listener.bind("\0" + name) or listener.listen())
            script = f"from tracebaton_configurator.live.client import ask; import os; os.setuid({NOBODY})\n"
            done = subprocess.run(
                [sys.executable, "-c", f"{script}print(ask({name!r}, {{'do': 'status'}}))"],
                capture_output=True,
                text=True,
                check=True,
            )
            assert done.stdout == "None\n"

    def test_one_that_is_not_the_process_meant_is_not_spoken_to(self, process: Process) -> None:
        assert ask(process.name, {"do": "off"}, os.getpid()) is None
        assert process.ask()["on"] is True


def test_sockets_that_pretend_to_be_a_process_cost_no_time(process: Process) -> None:
    """Neither an operator's nor that of a worker that starts and looks for its parent's."""
    real = process.name
    with ExitStack() as stack:
        fakes = [name_for(process.pid, os.urandom(8)) for _ in range(20)]
        for name in fakes:
            listener = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            listener.bind("\0" + name)
            listener.listen(0)
            full = False
            while not full:
                client = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
                client.setblocking(False)  # noqa: FBT003
                full = client.connect_ex("\0" + name) != 0
        begun = time.monotonic()
        answer = ask_process(process.pid, [*fakes, real], {"do": "status"})
        assert answer is not None
        assert answer.said["on"] is True
        with pytest.raises(NoAnswerError):
            ask_process(process.pid, fakes, {"do": "status"}, 0.5)
        assert time.monotonic() - begun < 5


def ask_as(uid: int, name: str, request: dict[str, Any]) -> dict[str, Any]:
    command = [sys.executable, str(HERE / "ask_as.py"), str(uid), name, json.dumps(request)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def become(uid: int, act: Callable[[], object]) -> None:
    """For a moment: what listens then belongs to that user as far as the kernel tells."""
    os.seteuid(uid)
    try:
        act()
    finally:
        os.seteuid(0)


class TestChildren:
    def test_a_forked_child_has_its_own_socket_and_its_parent_s_state(self, process: Process) -> None:
        process.ask("off", seconds=600)
        child = int(process.do("fork"))
        answer = ask(name_of(child), {"do": "status"})
        assert answer is not None
        assert (answer.pid, answer.said["on"]) == (child, False)
        assert answer.said["off_until"] == pytest.approx(process.ask()["off_until"], abs=1)
        answer = ask(name_of(child), {"do": "on"})
        assert process.ask()["on"] is False
        os.kill(child, signal.SIGKILL)

    def test_a_child_does_not_keep_the_socket_of_a_parent_that_has_ended(self, own: Process) -> None:
        child, name = int(own.do("fork")), own.name
        name_of(child)
        own.end()
        assert names_of(own.pid) == []
        assert ask(name, {"do": "status"}) is None
        os.kill(child, signal.SIGKILL)

    def test_what_a_forked_child_was_told_for_a_time_ends_there_too(self, process: Process) -> None:
        process.ask("set", rules="*=0", seconds=0.5)
        child = int(process.do("fork"))
        name = name_of(child)

        def is_over() -> bool:
            answer = ask(name, {"do": "status"})
            return answer is not None and answer.said["sampler_set_by"] == "environment"

        assert wait_for(is_over, 5)
        os.kill(child, signal.SIGKILL)


class TestTrouble:
    def test_it_lives_through_a_lack_of_file_descriptors(self, own: Process) -> None:
        # `accept` has a descriptor before it has a connection, and so the first one is served.
        with connect(own.name):
            own.do("exhaust")
            with pytest.raises(NoAnswerError, match="does not answer"):
                ask(own.name, {"do": "status"}, seconds=1)
            own.do("release")
        assert own.ask()["on"] is True

    def test_a_stopped_process_is_given_up_and_does_as_it_was_told_once_it_goes_on(self, process: Process) -> None:
        name = process.name
        process.stop()
        try:
            with pytest.raises(NoAnswerError, match=f"Process {process.pid} does not answer") as raised:
                ask(name, {"do": "off"}, seconds=0.2)
            assert raised.value.timed_out
        finally:
            process.go_on()
        assert wait_for(lambda: not process.ask()["on"], 5)

    def test_a_process_ends_as_it_would_have_while_it_is_asked(self, own: Process) -> None:
        name = own.name
        assert own.popen.stdin is not None
        own.popen.stdin.close()
        assert wait_for(lambda: ask(name, {"do": "status"}) is None, 10)
        assert own.popen.wait(10) == 0
        assert own.popen.stderr is not None
        assert own.popen.stderr.read() == ""


class TestNamespaces:
    """The network is shared, the process ids are not, as between containers of one pod."""

    UNSHARE = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")

    @pytest.fixture(autouse=True)
    def _needs_unshare(self) -> None:
        try:
            subprocess.run([*self.UNSHARE, "true"], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"no process namespace can be made: NOT tested: {error}")

    def test_who_is_in_another_namespace_neither_finds_nor_commands_it(self, process: Process) -> None:
        script = (
            "import sys; sys.path.insert(0, sys.argv[1]); from ask_as import told, ask\n"
            "print(ask(sys.argv[2], {'do': 'off'}), told(sys.argv[2], {'do': 'off'}))"
        )
        command = [*self.UNSHARE, sys.executable, "-c", script, str(HERE), process.name]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stdout.startswith("None {'refused': True")
        assert "of the same container" in done.stdout
        assert process.ask()["on"] is True

    def test_one_in_another_namespace_is_left_alone_by_those_who_can_see_it(
        self, start: Callable[..., Process], service: str
    ) -> None:
        from tracebaton.control.talk import ask_all

        within = start(service, *self.UNSHARE)
        assert ask_all({"do": "off"}, service).processes == []
        # It is there, with a pid of its own: its answers to whoever is where it is say so.
        script = (
            "import sys; from tracebaton_configurator.live import client, address\n"
            "print([client.ask(name, {'do': 'status', 'service': sys.argv[1]}) for _, name in address.listed()])"
        )
        (child,) = Path(f"/proc/{within.pid}/task/{within.pid}/children").read_text().split()
        enter = ("nsenter", "--target", child, "--pid", "--mount")
        done = subprocess.run(
            [*enter, sys.executable, "-c", script, service], capture_output=True, text=True, check=True
        )
        assert done.stdout.count("'on': True") == 1, done
