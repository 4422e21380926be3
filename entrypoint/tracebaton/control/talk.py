"""Finds the traced processes that can be seen from here and asks all of them the same."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

from tracebaton_configurator.live.address import AVAILABLE, listed
from tracebaton_configurator.live.server import ask


@dataclass(slots=True)
class Answers:
    """What the processes said: objects as `live.describe` makes them, and a sentence for each that did not comply."""

    processes: list[dict[str, Any]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def ask_all(request: dict[str, Any], service: str | None) -> Answers:
    """Ask every traced process of this user (for root: of every user) that can be seen from here."""
    answers = Answers()
    for _, name in listed():
        try:
            if service is not None:
                status = ask(name, {"do": "status"})
                if status is None or status[1].get("service") != service:
                    continue
            answered = ask(name, request)
        except (OSError, ValueError) as error:
            answers.failures.append(f"A process ({name}) does not answer: {error or type(error).__name__}.")
            continue
        if answered is None:
            continue
        pid, answer = answered
        if "error" in answer:
            answers.failures.append(f"Process {pid}: {answer['error']}.")
        else:
            answers.processes.append({**answer, "pid": pid})
    answers.processes.sort(key=lambda process: process["pid"])
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
