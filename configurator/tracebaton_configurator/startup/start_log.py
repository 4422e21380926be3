"""The start-up log: one line that says what is on, and a warning where something else than this distro was chosen.

Below `tracebaton run` the line comes with the first sign that the process is one to be traced: the first line of a
server's log, the first request, or the first span.
"""

from __future__ import annotations

import logging
import os
import platform
from typing import TYPE_CHECKING

from opentelemetry.context import Context, attach, detach

from tracebaton_configurator import settings
from tracebaton_configurator._version import __version__
from tracebaton_configurator.logs import hook, libraries, own
from tracebaton_configurator.logs.deduplication import is_new
from tracebaton_configurator.names import is_otlp
from tracebaton_configurator.settings.overrides import OVERRIDES
from tracebaton_configurator.startup import instrumentations
from tracebaton_configurator.startup.reporting import say_once, say_once_for_workers
from tracebaton_configurator.startup.state import STATE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tracebaton_configurator.startup.pipeline import Pipeline


def warn_if_another_distro_won() -> None:
    """One line that says what to set, where upstream took another distro or configurator than this one."""
    if STATE.failed is not None:
        return
    lost = " and ".join(
        name for name, won in (("distro", STATE.distro), ("configurator", STATE.configurator)) if not won
    )
    try:
        here = settings.current()
    except Exception:  # noqa: BLE001 (another distro is in charge: this one has nothing to fail at)
        return
    if here.helper or here.disabled or not lost:
        return
    own.warning(
        "tracebaton is installed, but another OpenTelemetry %s is active in this process: set %s=%s and %s=%s, or "
        "start with `tracebaton run COMMAND`.",
        lost,
        settings.DISTRO,
        settings.NAME,
        settings.CONFIGURATOR,
        settings.NAME,
    )


def say_what_is_on() -> None:
    """Below upstream's launcher, when all instrumentations are known; its loader's second run changes nothing."""
    if STATE.announced or STATE.failed is not None or not STATE.distro:
        return
    STATE.announced = True
    here = settings.current()
    if here.helper:
        return
    if here.disabled:
        say_once(logging.INFO, "Tracing is off: OTEL_SDK_DISABLED=true.")
    elif STATE.pipeline is not None:  # else another configurator won, which was said
        say_start_line()


def say_at_the_first_sign() -> None:
    """Have `say_start_line` called where something is served or traced for the first time.

    What is not traced may turn out later than that, when a worker has imported its application: at the first request or
    span it is said by itself, if the line had it not.
    """
    hook.on_server_line = say_start_line
    _call_at_the_first_span(_at_the_first_span)
    os.register_at_fork(after_in_child=lambda: _call_at_the_first_span(_at_the_first_span))


def _call_at_the_first_span(callback: Callable[[], object] | None) -> None:
    """Or request."""
    pipeline = STATE.pipeline
    if pipeline is not None:
        pipeline.sampling.on_first = callback
        if pipeline.asgi is not None:
            pipeline.asgi.fast_path.on_first = callback


def _at_the_first_span() -> None:
    asgi = STATE.pipeline.asgi if STATE.pipeline is not None else None
    if settings.is_run_by_a_service() and not (asgi is not None and asgi.fast_path.serves):
        return  # a tool, whose service has said it: each that it runs would say it once more
    _call_at_the_first_span(None)
    say_start_line()
    _say_guarded(_say_what_is_not_traced)


def say_start_line() -> None:
    """Once a process, and once for all workers. Does not raise, as it may be called in a request."""
    if STATE.start_said:
        return
    STATE.start_said = True
    hook.on_server_line = None
    _say_guarded(_say_start_line)


def _say_start_line() -> None:
    pipeline, here = STATE.pipeline, settings.current()
    if pipeline is None:
        return
    skipped = [f"{name} ({reason})" if reason else name for name, reason in STATE.skipped.items()]
    line = start_line(
        here,
        pipeline,
        sorted(STATE.instrumented),
        skipped,
        instrumentations.will_be_instrumented(),
        libraries.without_ids(),
        instrumentations.without_any(),
    )
    # A worker may have imported more by now than the process that started it, and means the same.
    if is_new(start_line(here, pipeline, (), ())):
        STATE.line_said_in = os.getpid()
        own.info("%s", line)
        for _, sentence in _not_traced():
            is_new(sentence)  # it is in the line
    else:
        own.debug("%s", line)


def _say_what_is_not_traced() -> None:
    for level, sentence in _not_traced():
        say_once_for_workers(level, sentence)


def _not_traced() -> Iterator[tuple[int, str]]:
    """As sentences of their own."""
    for name, reason in STATE.skipped.items():
        if reason:
            yield logging.WARNING, instrumentations.skipped_line(name, reason)
    clients = instrumentations.without_any()
    if clients:
        yield logging.INFO, f"Calls are not traced {_without(clients)}."


def _without(clients: Sequence[str]) -> str:
    return f"through libraries without an instrumentation: {', '.join(clients)}"


def _say_guarded(say: Callable[[], object]) -> None:
    try:
        token = attach(Context())  # it is no line of the request that happens to come first
        try:
            say()
        finally:
            detach(token)
    except Exception as error:  # noqa: BLE001 (spans are recorded, whether or not it can be said)
        own.error("Tracing is on, but its start-up log line failed: %s: %s", type(error).__name__, error)


def start_line(
    here: settings.Settings,
    pipeline: Pipeline,
    instrumented: Sequence[str],
    skipped: Sequence[str],
    waiting: Sequence[str] = (),
    without_ids: Sequence[str] = (),
    clients: Sequence[str] = (),
) -> str:
    """What an operator wants to know of a traced process, the usual case without what goes without saying.

    `waiting` are the instrumentations that are put in place when the application imports their library, `without_ids`
    the logging libraries whose lines stay as they are, `clients` those that call others and that nothing traces.
    """
    parts = [
        f"service {here.service_name!r}"
        + (" (derived from the command; OTEL_SERVICE_NAME sets another)" if here.service_name_derived else ""),
        _destination(here),
        f"sampler {pipeline.sampler}",
        *([f"instrumented: {', '.join(instrumented) or 'nothing'}"] if instrumented or not waiting else []),
        *([f"instrumented on import: {', '.join(waiting)}"] if waiting else []),
    ]
    if skipped:
        parts.append(f"skipped: {', '.join(skipped)}")
    if clients:
        parts.append(f"calls are not traced {_without(clients)}")
    if here.logs != "json":
        parts.append("logs unchanged" if here.logs == "off" else "logs keep their format and gain the ids")
    if without_ids and here.logs != "off":
        parts.append(f"log lines of {', '.join(without_ids)} have no ids")
    if pipeline.spool:
        parts.append(f"outages are waited out in {pipeline.spool}, up to {here.spool_max_mb} MB")
    if here.children == "false":
        parts.append("programs that it runs are not instrumented")
    aside = (
        f"; unsampled requests take upstream's path, because {pipeline.bypass_reason}" if pipeline.bypass_reason else ""
    )
    return f"Tracing is on: {', '.join(parts)}{_shared(here)}{aside}; {_versions()}."


def _shared(here: settings.Settings) -> str:
    """What variables that are meant for another program, perhaps, have this one do as well."""
    given = [
        (variable, f"{OVERRIDES[variable]}=none", what)
        for variable, what, exporters in (
            ("OTEL_METRICS_EXPORTER", "metrics", here.metrics_exporters),
            ("OTEL_LOGS_EXPORTER", "log records", here.logs_exporters),
        )
        if exporters and here.deciding(variable) == variable
    ]
    if not given:
        return ""
    variables, off, what = (" and ".join(words) for words in zip(*given, strict=True))
    have, turn = ("have", "turn") if len(given) > 1 else ("has", "turns")
    return f"; {variables} {have} every service export {what}, and {off} {turn} that off for tracebaton alone"


def _versions() -> str:
    from opentelemetry.instrumentation.version import __version__ as instrumentation
    from opentelemetry.sdk.version import __version__ as sdk

    return f"tracebaton {__version__}, OpenTelemetry {sdk}/{instrumentation}, Python {platform.python_version()}"


def _destination(here: settings.Settings) -> str:
    if not here.traces_exporters:
        return f"spans are not exported ({here.deciding('OTEL_TRACES_EXPORTER')}=none)"
    others = [name for name in here.traces_exporters if not is_otlp(name)]
    if len(others) == len(here.traces_exporters):
        return f"spans go to {', '.join(others)}"
    also = f" and {', '.join(others)}" if others else ""
    return f"spans go to {here.endpoint} over {here.endpoint.protocol}{also}"
