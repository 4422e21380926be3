"""The start-up log: one line that says what is on, and a warning where something else than this distro was chosen.

Below `tracebaton run` the line comes with the first sign that the process is one to be traced: the first line of a
server's log, the first request, or the first span.
"""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

from opentelemetry.context import Context, attach, detach

from tracebaton_configurator import settings
from tracebaton_configurator._version import __version__
from tracebaton_configurator.logs import hook, libraries, own
from tracebaton_configurator.logs.deduplication import is_new
from tracebaton_configurator.names import is_otlp
from tracebaton_configurator.startup import instrumentations
from tracebaton_configurator.startup.state import STATE

if TYPE_CHECKING:
    from collections.abc import Sequence

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
        _say("Tracing is off: OTEL_SDK_DISABLED=true.")
    elif STATE.pipeline is not None:  # else another configurator won, which was said
        say_start_line()


def say_at_the_first_sign() -> None:
    """Have `say_start_line` called where something is served or traced for the first time."""
    pipeline = STATE.pipeline
    hook.on_server_line = say_start_line
    if pipeline is not None:
        pipeline.sampling.on_first = say_start_line
        if pipeline.asgi is not None:
            pipeline.asgi.fast_path.on_first = say_start_line


def say_start_line() -> None:
    """Once a process, and once for all workers. Does not raise, as it may be called in a request."""
    pipeline = STATE.pipeline
    if STATE.start_said or pipeline is None:
        return
    STATE.start_said = True
    hook.on_server_line = pipeline.sampling.on_first = None
    if pipeline.asgi is not None:
        pipeline.asgi.fast_path.on_first = None
    try:
        token = attach(Context())  # it is no line of the request that happens to come first
        try:
            waiting = instrumentations.will_be_instrumented()
            here = settings.current()
            # A worker may have imported more by now than the process that started it, and means the same.
            same = start_line(here, pipeline, (), ())
            _say(
                start_line(here, pipeline, sorted(STATE.instrumented), STATE.skipped, waiting, libraries.without_ids()),
                same,
            )
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
) -> str:
    """What an operator wants to know of a traced process, the usual case without what goes without saying.

    `waiting` are the instrumentations that are put in place when the application imports their library, `without_ids`
    the logging libraries whose lines stay as they are.
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
    if here.logs != "json":
        parts.append("logs unchanged" if here.logs == "off" else "logs keep their format and gain the ids")
    if without_ids and here.logs != "off":
        parts.append(f"log lines of {', '.join(without_ids)} have no ids")
    if here.spool_dir and any(is_otlp(name) for name in here.traces_exporters):
        parts.append(f"outages are waited out in {here.spool_dir}, up to {here.spool_max_mb} MB")
    if here.children == "false":
        parts.append("programs that it runs are not instrumented")
    aside = (
        f"; unsampled requests take upstream's path, because {pipeline.bypass_reason}" if pipeline.bypass_reason else ""
    )
    return f"Tracing is on: {', '.join(parts)}{aside}; {_versions()}."


def _say(line: str, same: str | None = None) -> None:
    """At DEBUG in a worker that says the `same` as the process that started it."""
    if is_new(same or line):
        own.info("%s", line)
    else:
        own.debug("%s", line)


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
