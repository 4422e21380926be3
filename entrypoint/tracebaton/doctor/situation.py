"""What all checks look at: one environment, one command, one directory."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from tracebaton.doctor.launch import Launch, read_launch
from tracebaton.interpreter import is_python
from tracebaton_configurator.settings import Settings, read_settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Situation"]


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
        """As the application would read them from its command line, which it finds in `sys.orig_argv`."""
        program = list(self.launch.program)
        started_as = program if is_python(self.launch.name) else [sys.executable, *program]
        return read_settings(self.environ, started_as, self.directory)
