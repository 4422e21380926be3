"""What all checks look at: one environment, one command, one directory."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from tracebaton.doctor.launch import Launch, read_launch
from tracebaton_configurator.settings import Settings, read_settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Clock", "Situation"]


class Clock:
    """Seconds that the checks of the network may still take, together."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        return max(0.0, self._end - time.monotonic())

    def at_most(self, seconds: float) -> Clock:
        """A clock that ends with this one, or after so many seconds."""
        return Clock(min(seconds, self.left()))


@dataclass
class Situation:
    """`environ` is the environment that the application would be started with. `trace_id` is the test span's."""

    given: Mapping[str, str]
    command: Sequence[str]
    directory: str
    explain: tuple[str, ...] = ()
    send: bool = True
    trace_id: str | None = field(default=None, init=False)

    @cached_property
    def launch(self) -> Launch:
        return read_launch(self.command)

    @cached_property
    def environ(self) -> Mapping[str, str]:
        """With what the options of `opentelemetry-instrument` in the command override."""
        return {**self.given, **self.launch.overrides}

    @cached_property
    def settings(self) -> Settings:
        """As the application would read them."""
        return read_settings(self.environ, self.started_as, self.directory)

    @property
    def started_as(self) -> Sequence[str]:
        """The command line that the application would find in `sys.orig_argv`."""
        program = list(self.launch.program)
        is_python = bool(program) and program[0].rpartition("/")[2].startswith(("python", "pypy"))
        return program if is_python else [sys.executable, *program]
