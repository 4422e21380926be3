"""Finds the traced processes that can be seen from here and asks all of them the same."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from tracebaton_configurator.live.address import AVAILABLE, listed
from tracebaton_configurator.live.client import SECONDS, Answer, NoAnswerError, ask_process

# One that does not answer holds none of the others up.
_AT_ONCE = 32
# Somebody may have thousands of sockets that look like those of traced processes.
_SECONDS = 20.0
# Each round asks those that have appeared since; a host on which that never ends is not waited for.
_MOST_ROUNDS = 5
_NOT_ASKED = "not asked"


@dataclass(slots=True)
class Answers:
    """What the processes said: objects as `live.describe` makes them, and a sentence for each that did not comply."""

    processes: list[dict[str, Any]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def ask_all(request: dict[str, Any], service: str | None) -> Answers:
    """Ask every traced process of this user (for root: of every user) that can be seen from here, or of one service."""
    if service is not None:
        request = {**request, "service": service}
    answers, asked = Answers(), set[str]()
    deadline = time.monotonic() + _SECONDS
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for _ in range(_MOST_ROUNDS):
            # A worker that was just starting may have heard neither from its parent nor from here.
            processes: dict[int, list[str]] = {}
            for pid, name in _listed(answers):
                if name not in asked:
                    processes.setdefault(pid, []).append(name)
            if not processes:
                break
            asked.update(name for names in processes.values() for name in names)
            left_out = 0
            for answer in pool.map(lambda one: _ask(one[0], one[1], request, deadline), processes.items()):
                left_out += answer is _NOT_ASKED
                _sort_in(answers, answer)
            if left_out:
                answers.failures.append(f"{left_out} processes were not asked: {_SECONDS:g} s were over.")
                break
    answers.processes.sort(key=lambda process: process["pid"])
    answers.failures.sort()
    return answers


def why_none(service: str | None) -> str:
    """The sentence where no process was found."""
    if not AVAILABLE:
        return "Live control works on Linux only; restart the process with other OTEL_* variables instead."
    which = f"No traced process of the service {service!r}" if service else "No traced process"
    return (
        f"{which} of user {os.geteuid()} can be seen from here. Run this in its container, as its user or as root; a "
        "process with OTEL_SDK_DISABLED=true, or one that was not started by tracebaton, cannot be controlled."
    )


def _listed(answers: Answers) -> list[tuple[int, str]]:
    if not AVAILABLE:
        return []
    try:
        return listed()
    except OSError as error:
        answers.failures = [f"What listens here cannot be found out: {error.strerror} ({error.filename})."]
        return []


def _ask(pid: int, names: list[str], request: dict[str, Any], deadline: float) -> Answer | str | None:
    left = deadline - time.monotonic()
    if left <= 0:
        return _NOT_ASKED
    try:
        return ask_process(pid, names, request, min(left, SECONDS))
    except NoAnswerError as error:
        may_follow = error.timed_out and error.known and request["do"] != "status"
        return f"{error}{'; it does as it was told if it goes on' if may_follow else ''}."


def _sort_in(answers: Answers, answer: Answer | str | None) -> None:
    if answer is None or answer is _NOT_ASKED:
        return
    if isinstance(answer, str):
        answers.failures.append(answer)
    elif "error" in answer.said:
        answers.failures.append(f"Process {answer.pid}: {answer.said['error']}.")
    elif not answer.said.get("other_service"):
        answers.processes.append({**answer.said, "pid": answer.pid})
