"""Who would configure tracing: which distro and which configurator upstream's launcher takes, and why."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from tracebaton.doctor.finding import Finding, error, nearest, ok, warning
from tracebaton_configurator.names import CONFIGURATOR, DISTRO, NAME, choose_this_distro
from tracebaton_configurator.settings.propagators import VARIABLE, as_upstream_takes_it

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tracebaton.doctor.situation import Situation

__all__ = ["check"]

_KINDS = ((DISTRO, "distro", "opentelemetry_distro"), (CONFIGURATOR, "configurator", "opentelemetry_configurator"))
_REMEDY = f"start with `tracebaton run COMMAND`, or set {DISTRO}={NAME} and {CONFIGURATOR}={NAME} in the image"
_PACKAGES = {
    "b3": "opentelemetry-propagator-b3",
    "b3multi": "opentelemetry-propagator-b3",
    "jaeger": "opentelemetry-propagator-jaeger",
    "ottrace": "opentelemetry-propagator-ot-trace",
    "xray": "opentelemetry-propagator-aws-xray",
}


def check(situation: Situation) -> Iterator[Finding]:
    yield from _winners(situation)
    yield from _propagators(situation)
    yield from _context(situation)


def _winners(situation: Situation) -> Iterator[Finding]:
    """For both ways to start; the one that the command takes is the one that may be in error."""
    by_run = {**situation.environ, **choose_this_distro(situation.environ)}
    launchers = situation.launch.launchers
    is_bare = situation.launch.is_bare
    for start, environ, is_taken in (
        ("opentelemetry-instrument", situation.environ, is_bare),
        ("tracebaton run", by_run, not is_bare),
    ):
        taken = [(kind, variable, *_winner(variable, group, environ)) for variable, kind, group in _KINDS]
        wrong = [(variable, environ.get(variable)) for _, variable, winner, _ in taken if winner != NAME]
        said = "; ".join(f"{kind} {winner or 'none'}: {why}" for kind, _, winner, why in taken)
        if not wrong:
            yield ok(f"under `{start}` tracebaton configures tracing ({said})")
        elif is_taken:
            chosen = [f"{variable}={NAME}" for variable, value in wrong if value is not None]
            yield error(
                f"under `{start}` tracebaton is not in charge ({said})",
                f"set {' and '.join(chosen)}, or unset what is set" if chosen else _REMEDY,
            )
        elif launchers:
            yield ok(f"under a bare `{start}` tracebaton would not be in charge; the command does not start that way")
        else:
            yield warning(f"under a bare `{start}` tracebaton would not be in charge ({said})", _REMEDY)
    if len(launchers) > 1:
        yield warning(
            f"the command has {len(launchers)} launchers, {' and '.join(launchers)}: one does it all",
            f"leave {launchers[1]} out",
        )


def _winner(variable: str, group: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """The name of the entry point and the reason, as upstream's loader (auto_instrumentation/_load.py) comes to it.

    It takes the first one of the list that has the name, or the first one at all where the variable is not set; an
    empty variable is set, and names none.
    """
    names = list(dict.fromkeys(point.name for point in entry_points(group=group)))
    chosen = environ.get(variable)
    if chosen is None:
        if not names:
            return "", "none is installed"
        return names[0], f"{variable} is not set, the first of {' and '.join(names)} is taken"
    if chosen in names:
        return chosen, f"{variable} says so"
    shown = f"{variable}={chosen!r}" if len(chosen) <= 60 else variable
    return "", f"{shown} is none of {', '.join(names)}{nearest(chosen, names)}"


def _propagators(situation: Situation) -> Iterator[Finding]:
    """`tracebaton run` mends the variable; upstream raises for a name it does not know while it is imported."""
    given = situation.environ.get(VARIABLE, "")
    if not given.strip():
        return
    names = [name.strip() for name in given.split(",")]
    known = sorted({point.name for point in entry_points(group="opentelemetry_propagator")})
    unknown = [name for name in names if name not in known and name.lower() != "none"]
    mended, problem = as_upstream_takes_it(situation.environ)
    fatal = "under `opentelemetry-instrument` the start ends with a traceback, before the application"
    if problem is not None:
        packages = sorted({_PACKAGES[name] for name in unknown if name in _PACKAGES})
        hints = "".join(nearest(name, known) for name in unknown)
        yield error(
            f"{str(problem).rstrip('.')}{hints}; {fatal}",
            f"pip install {' '.join(packages)}" if packages else f"correct {VARIABLE}, or unset it",
        )
    elif unknown and situation.launch.is_bare:
        yield error(f"{VARIABLE}={given.strip()!r}: {fatal}", f"write {VARIABLE}={mended}, or use `tracebaton run`")
    if mended == "none" or "none" in mended.split(","):
        yield warning(
            f"{VARIABLE} has none: no trace context is read from callers or sent on, so every service has traces of "
            "its own",
            "unset it for traces that go from service to service",
        )
    elif "tracecontext" not in mended.split(","):
        yield warning(
            f"{VARIABLE}={given.strip()!r} has no tracecontext: services that speak W3C's traceparent, which is the "
            "default, begin traces of their own",
            "add tracecontext",
        )


def _context(situation: Situation) -> Iterator[Finding]:
    name = situation.environ.get("OTEL_PYTHON_CONTEXT", "").strip()
    known = sorted({point.name for point in entry_points(group="opentelemetry_context")})
    if name and name not in known:
        yield error(
            f"OTEL_PYTHON_CONTEXT={name!r} is none of {', '.join(known)}: a traceback is printed, and the default "
            "one is used",
            "unset it",
        )
