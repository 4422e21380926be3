"""Finds the traced processes that can be seen from here and asks all of them the same."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from tracebaton_configurator.live.address import AVAILABLE, listed
from tracebaton_configurator.live.client import Answer, NoAnswerError, ask

# One that does not answer holds none of the others up.
_AT_ONCE = 32
# Each round asks those that have appeared since; a host on which that never ends is not waited for.
_MOST_ROUNDS = 5


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
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for _ in range(_MOST_ROUNDS):
            # A worker that was just starting may have heard neither from its parent nor from here.
            names = [name for name in _names(answers) if name not in asked]
            if not names:
                break
            asked.update(names)
            for answer in pool.map(lambda name: _ask(name, request), names):
                _sort_in(answers, answer)
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


def _names(answers: Answers) -> list[str]:
    if not AVAILABLE:
        return []
    try:
        return [name for _, name in listed()]
    except OSError as error:
        answers.failures = [f"What listens here cannot be found out: {error.strerror} ({error.filename})."]
        return []


def _ask(name: str, request: dict[str, Any]) -> Answer | str | None:
    try:
        return ask(name, request)
    except NoAnswerError as error:
        may_follow = error.timed_out and request["do"] != "status"
        return f"{error}{'; it does as it was told if it goes on' if may_follow else ''}."


def _sort_in(answers: Answers, answer: Answer | str | None) -> None:
    if answer is None:
        return
    if isinstance(answer, str):
        answers.failures.append(answer)
    elif "error" in answer.said:
        answers.failures.append(f"Process {answer.pid}: {answer.said['error']}.")
    elif not answer.said.get("other_service"):
        answers.processes.append({**answer.said, "pid": answer.pid})
