"""Who would configure tracing: which distro and which configurator upstream's launcher takes, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracebaton.doctor.finding import Finding, error, names_in, nearest, ok, warning
from tracebaton_configurator.names import CONFIGURATOR, DISTRO, NAME, choose_this_distro
from tracebaton_configurator.settings.propagators import VARIABLE, as_upstream_takes_it

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tracebaton.doctor.situation import Situation

_KINDS = ((DISTRO, "distro"), (CONFIGURATOR, "configurator"))
_REMEDY = f"start with `tracebaton run COMMAND`, or set {DISTRO}={NAME} and {CONFIGURATOR}={NAME} in the image"
_PACKAGES = {"b3": "b3", "b3multi": "b3", "jaeger": "jaeger", "ottrace": "ot-trace", "xray": "aws-xray"}


def check(situation: Situation) -> Iterator[Finding]:
    """For both ways to start; the one that the command takes is the one that may be in error."""
    environ, launch = situation.environ, situation.launch
    yield _start("opentelemetry-instrument", environ, is_taken=launch.is_bare, is_given=bool(launch.launchers))
    by_run = {**environ, **choose_this_distro(environ)}
    yield _start("tracebaton run", by_run, is_taken=not launch.is_bare, is_given=bool(launch.launchers))
    if len(launch.launchers) > 1:
        yield warning(
            f"the command has {len(launch.launchers)} launchers, {' and '.join(launch.launchers)}: one does it all",
            f"leave {launch.launchers[1]} out",
        )
    if environ.get(VARIABLE, "").strip():
        yield from _propagators(environ, is_bare=launch.is_bare)


def _start(start: str, environ: Mapping[str, str], *, is_taken: bool, is_given: bool) -> Finding:
    taken = [(kind, variable, *_winner(variable, kind, environ)) for variable, kind in _KINDS]
    wrong = [variable for _, variable, winner, _ in taken if winner != NAME]
    said = "; ".join(f"{kind} {winner or 'none'}: {why}" for kind, _, winner, why in taken)
    if not wrong:
        left_to_chance = [v for v, kind in _KINDS if v not in environ and len(names_in(f"opentelemetry_{kind}")) > 1]
        if left_to_chance and (is_taken or not is_given):
            return warning(
                f"under `{start}` tracebaton configures tracing by chance: which entry point is the first depends on "
                f"the order in which the directory lists the packages ({said})",
                _REMEDY,
            )
        return ok(f"under `{start}` tracebaton configures tracing ({said})")
    if is_taken:
        chosen = [f"{variable}={NAME}" for variable in wrong if variable in environ]
        remedy = f"set {' and '.join(chosen)}, or unset what is set" if chosen else _REMEDY
        return error(f"under `{start}` tracebaton is not in charge ({said})", remedy)
    if is_given:
        return ok(f"under a bare `{start}` tracebaton would not be in charge; the command does not start that way")
    return warning(f"under a bare `{start}` tracebaton would not be in charge ({said})", _REMEDY)


def _winner(variable: str, kind: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """The name of the entry point and the reason, as upstream's loader (auto_instrumentation/_load.py) comes to it.

    It takes the first one of the list that has the name, or the first one at all where the variable is not set; an
    empty variable is set, and names none.
    """
    names = names_in(f"opentelemetry_{kind}")
    chosen = environ.get(variable)
    if chosen is None:
        if not names:
            return "", "none is installed"
        return names[0], f"{variable} is not set, the first of {' and '.join(names)} is taken"
    if chosen in names:
        return chosen, f"{variable} says so"
    shown = f"{variable}={chosen!r}" if len(chosen) <= 60 else variable
    return "", f"{shown} is none of {', '.join(names)}{nearest(chosen, names)}"


def _propagators(environ: Mapping[str, str], *, is_bare: bool) -> Iterator[Finding]:
    """`tracebaton run` mends the variable; upstream raises for a name it does not know while it is imported."""
    given = environ[VARIABLE].strip()
    known = names_in("opentelemetry_propagator")
    unknown = [name for name in map(str.strip, given.split(",")) if name not in known and name.lower() != "none"]
    mended, problem = as_upstream_takes_it(environ)
    fatal = "under `opentelemetry-instrument` the start ends with a traceback, before the application"
    if problem is not None:
        packages = sorted({f"opentelemetry-propagator-{_PACKAGES[name]}" for name in unknown if name in _PACKAGES})
        hints = "".join(nearest(name, known) for name in unknown)
        yield error(
            f"{str(problem).rstrip('.')}{hints}; {fatal}",
            f"pip install {' '.join(packages)}" if packages else f"correct {VARIABLE}, or unset it",
        )
    elif unknown and is_bare:
        yield error(f"{VARIABLE}={given!r}: {fatal}", f"write {VARIABLE}={mended}, or use `tracebaton run`")
    if "none" in mended.split(","):
        yield warning(
            f"{VARIABLE} has none: no trace context is read from callers or sent on, so every service has traces of "
            "its own",
            "unset it for traces that go from service to service",
        )
    elif "tracecontext" not in mended.split(","):
        yield warning(
            f"{VARIABLE}={given!r} has no tracecontext: services that speak W3C's traceparent, which is the default, "
            "begin traces of their own",
            "add tracecontext",
        )
