"""The samplers that the specification names, built from `OTEL_TRACES_SAMPLER` and its argument.

https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#general-sdk-configuration
"""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from opentelemetry.sdk.trace import sampling as sdk

if TYPE_CHECKING:
    from collections.abc import Callable

_ROOTS: dict[str, Callable[[str | None], sdk.Sampler]] = {
    "always_on": lambda _: sdk.ALWAYS_ON,
    "always_off": lambda _: sdk.ALWAYS_OFF,
    "traceidratio": lambda argument: sdk.TraceIdRatioBased(_ratio(argument)),
}
_PARENT_BASED = "parentbased_"
NAMES = (*_ROOTS, *(_PARENT_BASED + name for name in _ROOTS))
_GROUP = "opentelemetry_traces_sampler"


class SamplerError(ValueError):
    """The sampler's name or argument is wrong. `variable` says which of the two, `accepted` what would do."""

    def __init__(self, variable: str, reason: str, accepted: str) -> None:
        super().__init__(reason)
        self.variable = variable
        self.accepted = accepted


def root_of(name: str, argument: str | None) -> tuple[sdk.Sampler, bool] | None:
    """What one of the specification's samplers does with a root, and whether it follows parents (SamplerError).

    None for a name that is not on the specification's list.
    """
    lowered = name.lower()
    build = _ROOTS.get(lowered.removeprefix(_PARENT_BASED))
    return None if build is None else (build(argument), lowered.startswith(_PARENT_BASED))


def build_standard(name: str, argument: str | None) -> sdk.Sampler:
    """The sampler of that name, from the specification's list or from an installed package (SamplerError)."""
    root = root_of(name, argument)
    if root is not None:
        return sdk.ParentBased(root[0]) if root[1] else root[0]
    found = entry_points(group=_GROUP, name=name)
    if not found:
        known = sorted({*NAMES, "tracebaton", *(point.name for point in entry_points(group=_GROUP))})
        raise SamplerError("OTEL_TRACES_SAMPLER", "is unknown", ", ".join(known))
    sampler = next(iter(found)).load()(argument)
    if not isinstance(sampler, sdk.Sampler):
        raise SamplerError("OTEL_TRACES_SAMPLER", "does not make a sampler", ", ".join(sorted(NAMES)))
    return sampler


def _ratio(argument: str | None) -> float:
    if argument is None:
        return 1.0
    try:
        ratio = float(argument)
    except ValueError:
        ratio = -1.0
    if not 0.0 <= ratio <= 1.0:
        raise SamplerError("OTEL_TRACES_SAMPLER_ARG", "is not a ratio", "a number from 0 to 1")
    return ratio
