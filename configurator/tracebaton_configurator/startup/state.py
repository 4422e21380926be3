"""What this process is, as far as tracing goes: one object, and nobody keeps a second opinion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tracebaton_configurator.startup.pipeline import Pipeline


class ProcessState:
    """Written by `startup` alone. A forked child has its parent's.

    `distro` and `configurator` say whether upstream's launcher, or `tracebaton run`, took this project's; `failed` is
    why tracing could not start, and nothing is instrumented then. `waiting` has the instrumentations whose library has
    not been imported, `instrumented` and `skipped` (with what it lacks, or nothing where that was said) what became of
    the others, `all_taken` whether all are known. `line_said_in` is the pid of the process that said the start-up log
    line, if that was not another program.
    """

    # No dataclass: making one takes longer than most imports, and each process does.
    def __init__(self) -> None:
        self.distro = False
        self.configurator = False
        self.launcher_version: str | None = None
        self.brought_up = False
        self.all_taken = False
        self.pipeline: Pipeline | None = None
        self.failed: Exception | None = None
        self.start_said = False
        self.line_said_in: int | None = None
        self.announced = False
        self.waiting: dict[str, Any] = {}
        self.instrumented: list[str] = []
        self.skipped: dict[str, str] = {}


STATE = ProcessState()
