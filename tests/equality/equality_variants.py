"""How each application is run: plain, and in the ways of tracing it that operators use."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from equality_apps import App


@dataclass(frozen=True)
class Variant:
    """`launcher` stands before the command. `text`: log lines keep the application's own format."""

    name: str
    launcher: tuple[str, ...] = ("tracebaton", "run")
    env: Mapping[str, str] = field(default_factory=dict)
    text: bool = False
    traced: bool = True


PLAIN = Variant("plain", (), text=True, traced=False)
DEFAULT = Variant("default")
# With formats left alone, so that output can be compared line by line; that they become JSON is compared in the others.
FULL = Variant("100 %", env={"OTEL_TRACES_SAMPLER": "always_on", "OTEL_TRACEBATON_LOGS": "off"}, text=True)
OFF = Variant("off", env={"OTEL_TRACES_SAMPLER": "always_off"})
DISABLED = Variant("disabled", env={"OTEL_SDK_DISABLED": "true"}, text=True, traced=False)
TRACED = (DEFAULT, FULL, OFF, DISABLED)


def variants_of(app: App) -> tuple[Variant, ...]:
    """How this application is traced.

    What records nothing, OFF, and what traces nothing, DISABLED, does the same in every case of a program: its first
    case is compared in both, others that serve, each with a server of its own, in one of them in turn. So does what
    makes lines JSON, DEFAULT, in a script; FULL is compared line by line.
    """
    if app.case == 0:
        return TRACED
    if app.requests:
        return (DEFAULT, FULL, OFF if app.case % 2 else DISABLED)
    return (FULL,)
