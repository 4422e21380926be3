"""What this process is, as far as tracing goes: one object, and nobody keeps a second opinion."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tracebaton_configurator.startup.pipeline import Pipeline


@dataclass(slots=True)
class ProcessState:
    """Written by `startup` alone. A forked child has its parent's.

    `distro` and `configurator` say whether upstream's launcher, or `tracebaton run`, took this project's; `failed` is
    why tracing could not start, and nothing is instrumented then. `waiting` has the instrumentations whose library has
    not been imported, `instrumented` and `skipped` (with what it lacks, or nothing where that was said) what became of
    the others, `all_taken` whether all are known. `line_said_in` is the pid of the process that said the start-up log
    line, if that was not another program.
    """

    distro: bool = False
    configurator: bool = False
    launcher_version: str | None = None
    brought_up: bool = False
    all_taken: bool = False
    pipeline: Pipeline | None = None
    failed: Exception | None = None
    start_said: bool = False
    line_said_in: int | None = None
    announced: bool = False
    waiting: dict[str, Any] = field(default_factory=dict)
    instrumented: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)


STATE = ProcessState()
