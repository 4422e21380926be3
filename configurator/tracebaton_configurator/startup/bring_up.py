"""From a process that has imported something to one that is traced: log hook, provider, what waits for libraries."""

from __future__ import annotations

import os
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

from tracebaton_configurator import settings
from tracebaton_configurator.logs import captured, diagnostics, hook, own, standard
from tracebaton_configurator.patching import on_import, registry
from tracebaton_configurator.startup import begin, family, first_thread, instrumentations, start_log
from tracebaton_configurator.startup.quick_imports import without_collections
from tracebaton_configurator.startup.reporting import report, report_failure, report_notes
from tracebaton_configurator.startup.state import STATE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tracebaton_configurator.patching.catalogue import Patch


def bring_up() -> None:
    """Once a process; a second call does nothing, in a forked child either. Never raises.

    Whatever goes wrong, the application runs, untraced, and one line says why. Under `OTEL_TRACEBATON_STRICT=true` a
    wrong setting, and whatever else goes wrong, ends the process here, with status 78.
    """
    if STATE.brought_up:
        return
    if not on_import.is_complete():
        on_import.when_opentelemetry_is_complete(bring_up)
        return
    STATE.brought_up = True
    on_import.on_error = _say_failed
    registry.on_declined = _say_declined
    try:
        if STATE.failed is not None:
            raise STATE.failed
        with without_collections():
            _configure()
    except Exception as error:  # noqa: BLE001 (the application must start whatever happens here)
        STATE.failed = error
        report_failure(error, strict=settings.wants_strict(settings.environment()))
        return
    instrumentations.attach()


def bring_up_by_ourselves() -> None:
    """`bring_up` below `tracebaton run`, where upstream's loader has not been: this is what it does, in its order.

    See opentelemetry/instrumentation/auto_instrumentation/_load.py, 0.63b0 to 0.66b2. It asks for each group of entry
    points by itself, which reads the metadata of everything that is installed again and again.
    """
    if STATE.brought_up or not on_import.is_complete():
        bring_up()  # which knows what to do then
        return
    STATE.distro = STATE.configurator = True
    behind: Iterable[EntryPoint] = ()
    try:
        found = entry_points()
        before = found.select(group="opentelemetry_pre_instrument")
        points = list(found.select(group="opentelemetry_instrumentor"))
        behind = found.select(group="opentelemetry_post_instrument")
        for point in before:
            _call(point)
        instrumentations.take(points, settings.current().disabled_instrumentations)
    except Exception as error:  # noqa: BLE001 (see `bring_up`)
        STATE.failed = STATE.failed or error
    bring_up()
    registry.apply(first_thread.NAME, lambda: first_thread.replaced)
    instrumentations.finish()
    for point in behind:
        _call(point)


def before_instrumentations() -> None:
    """The entry point `opentelemetry_pre_instrument`: called in every process, whichever distro upstream took."""
    _log(start_log.warn_if_another_distro_won)


def after_instrumentations() -> None:
    """The entry point `opentelemetry_post_instrument`, at the end of upstream's loader, which may run twice."""
    instrumentations.finish()
    _log(start_log.say_what_is_on)


def _configure() -> None:
    here = settings.current()
    settings.hand_down(here)
    if not begin.inherited:  # below upstream's launcher, where nobody has left word
        begin.leave_word(settings.environment())
    standard.begun = dict(zip(begin.STREAMS, begin.streams, strict=True))
    captured.streams = family.captured_streams(begin.inherited) if here.children == "serving" else frozenset()
    registry.disable(here.disabled_patches)
    hook.install(here.logs, here.service_name, here.log_extras, here.log_fields)
    diagnostics.install()
    report(here.problems, strict=here.strict)
    report_notes(here.notes)
    from tracebaton_configurator.startup.pipeline import start

    pipeline = start(here, STATE.launcher_version or _launcher_version())
    STATE.pipeline = pipeline
    _log(start_log.say_at_the_first_sign)


def _log(say: Callable[[], object]) -> None:
    """Tracing does not depend on what is said of it."""
    try:
        say()
    except Exception as error:  # noqa: BLE001 (see above)
        own.error("The start-up log failed, tracing continues: %s: %s", type(error).__name__, error)


def _launcher_version() -> str:
    from opentelemetry.instrumentation.version import __version__

    return __version__


def _call(point: EntryPoint) -> None:
    """One of somebody else's; ours are for upstream's launcher."""
    if point.value.startswith("tracebaton_configurator."):
        return
    try:
        point.load()()
    except Exception as error:  # noqa: BLE001 (what a stranger's code raises is not ours to predict)
        own.error("%s = %s failed: %s: %s", point.group, point.name, type(error).__name__, error)


def _say_failed(callback: object, error: Exception) -> None:
    name = getattr(callback, "__qualname__", type(callback).__name__)
    own.error("A hook that waited for an import failed (%s): %s: %s", name, type(error).__name__, error)


def _say_declined(patch: Patch, reason: str) -> None:
    own.warning("Patch %s does not match the installed %s and was not applied: %s", patch.name, patch.library, reason)


def working_directory() -> str:
    return os.getcwd()  # noqa: PTH109 (pathlib would be imported for this)
