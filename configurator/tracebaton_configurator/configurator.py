"""`OpenTelemetryConfigurator`: turns settings into log hook, provider, sampler and exporter.

Nothing of the SDK is imported before it is known that tracing is on.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from tracebaton_configurator import environment_variables as ours
from tracebaton_configurator import settings
from tracebaton_configurator.logs import hook, own
from tracebaton_configurator.settings import Problem, Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.sampling import Sampler

# EX_CONFIG of sysexits.h: "something was found in an unconfigured or misconfigured state".
STATUS_WRONG_SETTING = 78
# Parsed, and acted on by a later version: silence would pretend.
NOT_IN_EFFECT_YET = frozenset(
    [
        ours.OTEL_TRACEBATON_KEEP_ERRORS,
        ours.OTEL_TRACEBATON_KEEP_SLOWER_THAN,
        ours.OTEL_TRACEBATON_SPOOL_DIR,
        ours.OTEL_TRACEBATON_SPOOL_MAX_MB,
        ours.OTEL_TRACEBATON_TRUST_PARENT,
    ]
)


class OpenTelemetryConfigurator:
    """Found by the entry point `opentelemetry_configurator`, chosen by `OTEL_PYTHON_CONFIGURATOR=tracebaton`."""

    configured = False
    tracing = False

    def configure(self, auto_instrumentation_version: str | None = None, **_: Any) -> None:
        """Set tracing up. Never raises: whatever goes wrong, the application runs, untraced, and one line says why.

        Under `OTEL_TRACEBATON_STRICT=true` a wrong setting ends the process here, with status 78.
        """
        OpenTelemetryConfigurator.configured = True
        here = settings.current()
        if here.disabled or here.helper:
            _report(here.problems, strict=here.strict)
            return
        try:
            hook.install(here.logs, here.service_name)
            _report(here.problems, strict=here.strict)
            for variable in sorted(here.given & NOT_IN_EFFECT_YET):
                own.warning("%s is set and valid, but not in effect yet in this version: it changes nothing.", variable)
            OpenTelemetryConfigurator.tracing = self._start(here, auto_instrumentation_version)
        except Exception as error:  # noqa: BLE001 (the application must start whatever happens here)
            own.error("Tracing could not start, the application runs untraced: %s: %s", type(error).__name__, error)

    def _start(self, here: Settings, launcher_version: str | None) -> bool:
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider

        from tracebaton_configurator.export.exits import flush_at_exit
        from tracebaton_configurator.resource import build_resource

        resource = build_resource(here.service_name, launcher_version)
        provider = TracerProvider(sampler=_sampler(here), resource=resource, shutdown_on_exit=False)
        for name in here.traces_exporters:
            _add_exporter(provider, name, here)
        trace.set_tracer_provider(provider)
        ends = [provider.shutdown, *_start_other_signals(here, resource)]
        flush_at_exit(lambda: [end() for end in ends], here.shutdown_timeout)
        return True


def _report(problems: tuple[Problem, ...], *, strict: bool) -> None:
    for problem in problems:
        own.error("%s", problem)
    if problems and strict:
        own.error(
            "OTEL_TRACEBATON_STRICT=true: the process ends here with status %d, before the application starts.",
            STATUS_WRONG_SETTING,
        )
        sys.stderr.flush()
        # An exception would be swallowed by the launcher, and SystemExit in `site` becomes status 1.
        os._exit(STATUS_WRONG_SETTING)


def _sampler(here: Settings) -> Sampler:
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased

    from tracebaton_configurator.sampling.standard import SamplerError, build_standard

    if here.sampler.lower() == settings.NAME:
        if here.sampler_arg is not None:
            own.warning("OTEL_TRACES_SAMPLER_ARG: sampling rules are not in effect yet: every request is recorded.")
        return ParentBased(ALWAYS_ON)
    try:
        return build_standard(here.sampler, here.sampler_arg)
    except SamplerError as error:
        value = (here.sampler_arg or "") if error.variable.endswith("_ARG") else here.sampler
        problem = Problem(error.variable, value, str(error), error.accepted, "no request is recorded")
        _report((problem,), strict=here.strict)
        return ALWAYS_OFF


def _add_exporter(provider: TracerProvider, name: str, here: Settings) -> None:
    from tracebaton_configurator.export.exporters import UnknownExporterError, build_span_exporter
    from tracebaton_configurator.export.processor import BoundedBatchSpanProcessor

    endpoint = here.endpoint
    try:
        exporter = build_span_exporter(name, endpoint.url, endpoint.protocol, insecure=endpoint.insecure)
    except UnknownExporterError as error:
        _report((_unknown("OTEL_TRACES_EXPORTER", name, str(error)),), strict=here.strict)
        return
    provider.add_span_processor(BoundedBatchSpanProcessor(exporter, here.batch_delay_ms, here.shutdown_timeout))


def _unknown(variable: str, name: str, known: str) -> Problem:
    return Problem(variable, name, "is unknown", known, "it is left out")


def _start_other_signals(here: Settings, resource: Resource) -> list[Callable[[], object]]:
    """Metrics and logs, as the standard variables ask for them; by default neither exists. Returns their shutdowns."""
    from tracebaton_configurator.export import signals
    from tracebaton_configurator.export.exporters import UnknownExporterError

    ends: list[Callable[[], object]] = []
    for variable, names, start in (
        ("OTEL_METRICS_EXPORTER", here.metrics_exporters, signals.start_metrics),
        ("OTEL_LOGS_EXPORTER", here.logs_exporters, signals.start_logs),
    ):
        if not names:
            continue
        try:
            ends.append(start(names, here.endpoint.protocol, resource))
        except UnknownExporterError as error:
            _report((_unknown(variable, ",".join(names), str(error)),), strict=here.strict)
    return ends
