"""OpenTelemetry's instrumentations, each put in place when the application has imported its library."""

from __future__ import annotations

import logging
import re
from importlib.metadata import EntryPoint, PackageNotFoundError, distribution
from typing import TYPE_CHECKING, Any

from tracebaton_configurator import settings
from tracebaton_configurator.coexist import genai
from tracebaton_configurator.logs import own
from tracebaton_configurator.patching import on_import
from tracebaton_configurator.propagation import clients_on_import
from tracebaton_configurator.startup.quick_imports import without_collections
from tracebaton_configurator.startup.reporting import say_once_for_workers
from tracebaton_configurator.startup.state import STATE
from tracebaton_configurator.startup.untraced import imported_without
from tracebaton_configurator.startup.watched import INSTRUMENTATIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from types import ModuleType

# The instrumentations whose ASGI middleware takes `exclude_spans` (fastapi since 0.49b0).
_ASGI = ("fastapi", "starlette")
_MODULES = {name: module for module, names in INSTRUMENTATIONS.items() for name in names}
_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")
# What is to be put in place: the entry point's name, and what loads it.
_taken: dict[str, tuple[EntryPoint, Callable[[], object]]] = {}


def take(points: Sequence[EntryPoint], disabled: Collection[str]) -> None:
    """Remember these until tracing is up, less those that the user has named (or all, by `*`)."""
    if "*" in disabled:
        return
    for point in points:
        if point.name not in disabled:
            take_one(point, lambda point=point: _load_checked(point))  # type: ignore[misc]


def take_one(point: EntryPoint, load: Callable[[], object]) -> None:
    """The first of a name is taken, and that once: upstream's loader may run a second time."""
    if point.name in _taken:
        return
    _taken[point.name] = (point, load)
    if STATE.pipeline is not None:
        _wait_for_library(point, load)


def attach() -> None:
    """Let each wait for its library, now that there is a provider."""
    for point, load in list(_taken.values()):
        _wait_for_library(point, load)


def finish() -> None:
    """Called when all have been taken: a FastAPI that none of them is for traces itself. A second call does nothing."""
    asgi = STATE.pipeline.asgi if STATE.pipeline is not None else None
    if asgi is not None and STATE.distro and not STATE.all_taken:
        STATE.all_taken = True
        _or_upstreams_way("fastapi", lambda: asgi.finish(lambda: "fastapi" in STATE.instrumented))
        if "starlette" not in _taken and not {"starlette", "*"} & set(settings.current().disabled_instrumentations):
            _or_upstreams_way("starlette", lambda: asgi.serve_starlette(lambda: STATE.instrumented.append("starlette")))
        disabled = set(settings.current().disabled_instrumentations)
        if "*" not in disabled:
            _or_upstreams_way(
                "HTTP clients", lambda: clients_on_import.serve(_taken.keys(), disabled, STATE.instrumented.append)
            )


def will_be_instrumented() -> list[str]:
    """Those that wait for a library which is installed, and may yet be imported."""
    return sorted(name for name, modules in STATE.waiting.items() if any(map(is_there, modules)))


def instrument(name: str, load: Callable[[], object]) -> None:
    """One that fails is reported in one line and skipped, never raised: upstream gives up on all that follow then."""
    if name in STATE.instrumented or name in STATE.skipped or STATE.failed is not None:
        return
    modules = STATE.waiting.pop(name, ())
    around = STATE.pipeline.around.get(name, ()) if STATE.pipeline is not None else ()
    for one in around:
        _or_upstreams_way(name, one.before)
    try:
        with without_collections():
            loaded = load()
    except ModuleNotFoundError as error:
        reason = lacks(error, modules)
        if reason is None:
            # The library that it is for, which this application does not use: nothing is missing.
            own.debug("Instrumentation %s was skipped: %s", name, error)
            return
        STATE.skipped[name] = reason
        if STATE.start_said:
            say_once_for_workers(logging.WARNING, skipped_line(name, reason))
        return
    except Exception as error:  # noqa: BLE001 (what a stranger's code raises is not ours to predict)
        STATE.skipped[name] = ""
        own.error(
            "Instrumentation %s failed and was skipped, the others continue: %s: %s", name, type(error).__name__, error
        )
        return
    if loaded is False:
        return
    STATE.instrumented.append(name)
    for one in around:
        _or_upstreams_way(name, one.after)


def lacks(error: ModuleNotFoundError, modules: Sequence[str]) -> str | None:
    """What an instrumentation needs that is not there; None where that is one of `modules`, which it is for."""
    name = error.name
    if not name:
        return f"fails: {error}"
    if any(f"{module}.".startswith(f"{name}.") for module in modules):
        return None
    top = name.partition(".")[0]
    if top != name and is_there(top):
        return f"needs {name}, which the installed {top} does not have"
    return f"needs {top}, which is not installed"


def skipped_line(name: str, reason: str) -> str:
    return f"Instrumentation {name} was skipped: it {reason}."


def without_any() -> list[str]:
    """The libraries that the application calls others with and that nothing traces, by their distributions."""
    disabled = settings.current().disabled_instrumentations
    return [] if "*" in disabled else imported_without({*_taken, *STATE.instrumented, *disabled})


def arguments_for(name: str) -> dict[str, Any]:
    """What an instrumentation is given beyond what upstream's loader gives it."""
    asked = settings.current().asgi_event_spans
    return {"exclude_spans": ["receive", "send"]} if name in _ASGI and not asked else {}


def modules_of(point: EntryPoint) -> tuple[str, ...]:
    """The modules whose import says that the library is used; empty where nobody can know.

    A distribution names its libraries by their distributions, as requirements of the extras `instruments` and
    `instruments-any` (opentelemetry/instrumentation/dependencies.py).
    """
    known = _MODULES.get(point.name)
    if known is not None:
        return (known,)
    wanted = [text for text in (point.dist.requires or () if point.dist is not None else ()) if "instruments" in text]
    names = [match[1] for text in wanted if (match := _REQUIREMENT.match(text))]
    return tuple(dict.fromkeys(module for name in names for module in _top_modules(name)))


def _wait_for_library(point: EntryPoint, load: Callable[[], object]) -> None:
    name = point.name
    modules = modules_of(point)
    if not modules:
        instrument(name, load)
        return
    STATE.waiting[name] = modules

    def come(_: ModuleType) -> None:
        instrument(name, load)

    for module in modules:
        on_import.after(module, come)


def refusal(point: EntryPoint) -> tuple[str, bool] | None:
    """Why it is not loaded, by upstream's loader or here, and whether a library is there in a wrong version."""
    from opentelemetry.instrumentation.dependencies import get_dist_dependency_conflicts

    if genai.has_own_spans(point, settings.environment()):
        return "its library makes the same spans itself", False
    conflict = get_dist_dependency_conflicts(point.dist) if point.dist is not None else None
    if not conflict:
        return None
    found = [conflict.found] if conflict.found else getattr(conflict, "found_any", None) or []
    wanted = [conflict.required] if conflict.required else getattr(conflict, "required_any", None) or []
    libraries = " or ".join(str(one).partition(";")[0].strip() for one in wanted)
    return f"it is for {libraries}, and {', '.join(map(str, found)) or 'none'} is installed", bool(found)


def _load_checked(point: EntryPoint) -> bool:
    """As upstream's loader: not where the library has a version that the instrumentation is not for."""
    refused = refusal(point)
    if refused is not None:
        reason, is_there = refused
        own.log(logging.ERROR if is_there else logging.DEBUG, "Instrumentation %s was skipped: %s", point.name, reason)
        return False
    point.load()().instrument(skip_dep_check=True, **arguments_for(point.name))
    return True


def _top_modules(name: str) -> tuple[str, ...]:
    """The import packages of a distribution; a guess from its name where it does not say."""
    try:
        stated = distribution(name).read_text("top_level.txt")
    except PackageNotFoundError:
        # Perhaps it is spelt otherwise; an import that never happens costs nothing.
        stated = None
    tops = tuple(line.strip() for line in (stated or "").splitlines() if line.strip() and not line.startswith("_"))
    return tops or (re.sub(r"[-.]+", "_", name),)


def is_there(module: str) -> bool:
    """Whether it could be imported, as far as can be seen without doing so."""
    from importlib.util import find_spec

    try:
        return find_spec(module.partition(".")[0]) is not None
    except (ImportError, ValueError):
        return False


def _or_upstreams_way(name: str, fit: Callable[[], object] | None) -> None:
    """Where what this project does around an instrumentation does not fit, what is loaded works as upstream made it."""
    try:
        if fit is not None:
            fit()
    except ImportError:
        return  # the library that the instrumentation is for is not there
    except Exception as error:  # noqa: BLE001 (see above)
        own.error("tracebaton does not match %s, upstream's behaviour stays: %s: %s", name, type(error).__name__, error)
