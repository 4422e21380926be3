"""What is said at the start of a process: one line, and a warning where something else than this distro won.

Upstream's launcher calls these two through the entry points `opentelemetry_pre_instrument` and
`opentelemetry_post_instrument`, in every process and whichever distro it took.
"""

from __future__ import annotations

from tracebaton_configurator import settings
from tracebaton_configurator.configurator import OpenTelemetryConfigurator
from tracebaton_configurator.distro import TracebatonDistro
from tracebaton_configurator.logs import own


def warn_if_another_distro_won() -> None:
    """One line that says what to set, where upstream took another distro or configurator than this one."""
    here = settings.current()
    if here.helper or here.disabled or (TracebatonDistro.configured and OpenTelemetryConfigurator.configured):
        return
    lost = " and ".join(
        name
        for name, won in (
            ("distro", TracebatonDistro.configured),
            ("configurator", OpenTelemetryConfigurator.configured),
        )
        if not won
    )
    own.warning(
        "tracebaton is installed, but another OpenTelemetry %s is in charge of this process: set %s=%s and %s=%s, or "
        "start with `tracebaton run COMMAND`.",
        lost,
        settings.DISTRO,
        settings.NAME,
        settings.CONFIGURATOR,
        settings.NAME,
    )


def say_what_is_on() -> None:
    """The line at the start."""
    here = settings.current()
    if here.helper or not TracebatonDistro.configured:
        return
    if here.disabled:
        own.info("Tracing is off: OTEL_SDK_DISABLED=true.")
        return
    pipeline = OpenTelemetryConfigurator.pipeline
    if pipeline is None:
        return  # the line that says why has been printed
    distro = TracebatonDistro()
    if pipeline.session is not None:
        pipeline.session.finish(distro.instrumented)
    own.info(
        "Tracing is on: service %r%s, %s, sampler %s, instrumented: %s%s%s.",
        here.service_name,
        " (derived from the command; OTEL_SERVICE_NAME sets another)" if here.service_name_derived else "",
        _destination(here),
        pipeline.sampler,
        ", ".join(distro.instrumented) or "nothing",
        f", skipped: {', '.join(distro.skipped)}" if distro.skipped else "",
        f"; unrecorded requests take upstream's path, because {pipeline.no_gate}" if pipeline.no_gate else "",
    )


def _destination(here: settings.Settings) -> str:
    if not here.traces_exporters:
        return "spans are not exported (OTEL_TRACES_EXPORTER=none)"
    others = [name for name in here.traces_exporters if not name.startswith("otlp")]
    if len(others) == len(here.traces_exporters):
        return f"spans go to {', '.join(others)}"
    also = f" and {', '.join(others)}" if others else ""
    return f"spans go to {here.endpoint} over {here.endpoint.protocol}{also}"
