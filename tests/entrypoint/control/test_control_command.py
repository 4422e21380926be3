"""`tracebaton on`, `off`, `set` and `status`: what they say and their exit statuses, against real processes."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from live_processes import name_of, stop

from tracebaton.cli import main
from tracebaton.control import talk
from tracebaton_configurator.live import address
from tracebaton_configurator.live.client import ask
from tracebaton_configurator.live.message import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Start = Callable[..., Any]
    Capture = pytest.CaptureFixture[str]


def is_on(process: Any) -> bool:
    return bool(process.ask()["on"])


class TestOfOneService:
    def test_off_and_on_reach_its_processes_and_no_others(self, start: Start, service: str, capsys: Capture) -> None:
        mine, other = [start(), start()], start(f"{service}-other")
        assert main(["off", "--for", "10m", "--service", service, "--json"]) == 0
        said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [one["pid"] for one in said] == sorted(one.pid for one in mine)
        assert {one["on"] for one in said} == {False}
        assert {round(one["off_until"] - time.time(), -1) for one in said} == {600}
        assert [is_on(one) for one in (*mine, other)] == [False, False, True]
        assert main(["on", "--service", service]) == 0
        assert [is_on(one) for one in mine] == [True, True]
        assert capsys.readouterr().err == ""

    def test_rules_are_set_for_a_time_and_taken_back(self, process: Any) -> None:
        service = process.service
        assert main(["set", "sampling", "POST /agents/{name}/chat=1", "--for", "1h", "--service", service]) == 0
        assert process.ask()["sampler"].startswith("tracebaton{POST /agents/{name}/chat=1, ")
        assert main(["set", "sampling", "RESET", "--service", service]) == 0
        assert process.ask()["sampler_set_by"] == "environment"

    @pytest.mark.parametrize(
        ("words", "sentence"),
        [
            (["*=1, /x"], "rule 2, '/x': there is no '='"),
            ([""], "there is nothing between the quotes"),
            (["reset", "--for", "1m"], "takes no --for"),
        ],
    )
    def test_wrong_rules_change_nothing_and_are_told(
        self, process: Any, capsys: Capture, words: list[str], sentence: str
    ) -> None:
        before = process.ask()
        assert main(["set", "sampling", *words, "--service", process.service]) == 2
        error = capsys.readouterr().err
        assert sentence in error
        assert "Nothing was changed." in error
        assert process.ask() == before

    @pytest.mark.parametrize("duration", ["10", "-1s", "0s", "nan", "1y", "", "169h"])
    def test_a_wrong_duration_is_none(self, process: Any, capsys: Capture, duration: str) -> None:
        with pytest.raises(SystemExit) as ended:
            main(["off", f"--for={duration}", "--service", process.service])
        assert ended.value.code == 2
        assert "a duration such as 90s, 10m or 1h" in capsys.readouterr().err
        assert is_on(process)

    def test_twenty_processes_are_asked_at_once(self, own: Any, service: str) -> None:
        """Nineteen of them are forked, as workers are."""
        pids = sorted([own.pid, *(int(own.do("fork")) for _ in range(19))])
        for pid in pids:
            name_of(pid)
        try:
            answers = talk.ask_all({"do": "off"}, service)
            assert [one["pid"] for one in answers.processes] == pids
            # Stopped, they keep nobody waiting one after the other: that would be 40 s.
            for pid in pids:
                stop(pid)
            begun = time.monotonic()
            answers = talk.ask_all({"do": "status"}, service)
            took = time.monotonic() - begun
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
        assert len([line for line in answers.failures if "is stopped or very busy" in line]) >= 20
        assert took < 20

    def test_one_that_does_not_answer_is_named_and_the_others_comply(
        self, start: Start, service: str, capsys: Capture
    ) -> None:
        stopped, running = start(), start()
        stopped.stop()
        try:
            assert main(["off", "--service", service]) == 1
        finally:
            stopped.go_on()
        said = capsys.readouterr()
        assert said.out.startswith(f"{service}, process {running.pid} (live_process.py): off since ")
        assert f"tracebaton: Process {stopped.pid} does not answer: it is stopped or very busy" in said.err
        assert "it does as it was told if it goes on" in said.err
        assert not is_on(running)


class TestNobodyThere:
    def test_it_says_what_may_be_the_matter(
        self, service: str, capsys: Capture, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Without the traced processes of other tests, one of which may be about to end.
        with address._LIST.open() as listed:
            (tmp_path / "unix").write_text(listed.readline())
        monkeypatch.setattr(address, "_LIST", tmp_path / "unix")
        for words in (["status"], ["off"], ["on"], ["set", "sampling", "1"]):
            assert main([*words, "--service", service]) == 1
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.count(f"No traced process of the service '{service}' of user {os.geteuid()}") == 4

    def test_a_system_that_does_not_tell_what_listens(
        self, service: str, capsys: Capture, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(address, "_LIST", tmp_path / "unix")
        assert main(["off", "--service", service]) == 1
        assert f"cannot be found out: No such file or directory ({tmp_path / 'unix'})" in capsys.readouterr().err

    def test_another_system_than_linux(self, service: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(talk, "AVAILABLE", False)
        assert main(["off", "--service", service]) == 1
        assert "works on Linux only" in capsys.readouterr().err


class Pretender:
    """Something that listens as a traced process would, and says what the test wants."""

    def __init__(self, answer: bytes) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.name = address.name_for(os.getpid(), os.urandom(8))
        self.socket.bind("\0" + self.name)
        self.socket.listen()
        self._answer = answer
        threading.Thread(target=self._serve, daemon=True).start()

    def end(self) -> None:
        with suppress(OSError):  # it has ended already
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                connection.recv(65536)
                connection.sendall(self._answer)


@pytest.fixture
def pretend() -> Iterator[Callable[[bytes], Pretender]]:
    made: list[Pretender] = []

    def pretend_one(answer: bytes) -> Pretender:
        made.append(Pretender(answer))
        return made[-1]

    yield pretend_one
    for one in made:
        one.end()


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (b"", "ended the connection without an answer"),
        (b"hello\n", "answers with something else: a message is no line of JSON"),
        (b"[]\n", "answers with something else: a message is no JSON object"),
        (b"x" * 2_000_000, "answers with something else: a message is longer than 1 MiB"),
        (b'{"service": "x"}\n', "answers with something else than this version's processes do"),
        (b'{"service": "x", "command": ' + b"[" * 900 + b"]" * 900 + b"}\n", "something else than this"),
        (b'{"error": "no \\u001b[2J"}\n', "no  [2J."),
        (encode({"service": "x", "command": "y", "on": False, "off_since": 1e300}), "something else than this"),
    ],
    ids=lambda value: repr(value[:20]),
)
def test_what_is_no_traced_process_is_a_sentence(
    pretend: Callable[[bytes], Pretender], service: str, capsys: Capture, answer: bytes, sentence: str
) -> None:
    pretend(answer)
    assert main(["status", "--service", service]) == 1
    assert sentence in capsys.readouterr().err


def test_a_process_that_ends_meanwhile_is_none(pretend: Callable[[bytes], Pretender]) -> None:
    one = pretend(b"{}\n")
    one.end()
    assert ask(one.name, {"do": "status"}) is None


@pytest.mark.parametrize("command", ["on", "off", "set", "status"])
def test_the_help_is_readable_and_says_where_the_state_lives(command: str, capsys: Capture) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert ended.value.code == 0
    assert "in the memory of the processes" in said
    assert "%%" not in said
    if command == "set":
        assert "'POST /agents/{name}/chat=1, *=10%', or reset" in said
