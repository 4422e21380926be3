"""`OTEL_PROPAGATORS`, before OpenTelemetry reads it: its API raises ValueError at import for a name it does not know.

That is in every process that imports it, applications of FastAPI 0.142 and later among them; so whoever starts one has
to look first (opentelemetry/propagate/__init__.py, 1.42.0 to 1.45.2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tracebaton_configurator.settings.problem import Problem

VARIABLE = "OTEL_PROPAGATORS"
_DEFAULT = ("tracecontext", "baggage")
# What opentelemetry-api brings along: these need no search among the installed packages.
_BUILT_IN = (*_DEFAULT, "none")


def as_upstream_takes_it(environ: Mapping[str, str]) -> tuple[str, Problem | None]:
    """The value to go on with, and what was wrong with it.

    A typo costs its propagator, or brings the default back where no name is left. White space, empty parts and capital
    letters are no mistake, though upstream fails for them as well.
    """
    names = [name.strip().lower() for name in environ.get(VARIABLE, "").split(",") if name.strip()]
    if all(name in _BUILT_IN for name in names):
        return ",".join(names), None
    from importlib.metadata import entry_points

    from tracebaton_configurator.settings.problem import Problem

    known = {point.name for point in entry_points(group="opentelemetry_propagator")} | {"none"}
    unknown = [name for name in names if name not in known]
    left = ",".join([name for name in names if name in known] or _DEFAULT)
    if not unknown:
        return left, None
    reason = f"has {', '.join(map(repr, unknown))}, which no installed package provides"
    return left, Problem(VARIABLE, environ[VARIABLE].strip(), reason, ", ".join(sorted(known)), f"using {left}")
