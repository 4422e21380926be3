"""`OpenTelemetryConfigurator`: what upstream's launcher asks to set tracing up."""

from __future__ import annotations

from typing import Any

from tracebaton_configurator import settings
from tracebaton_configurator.startup.bring_up import bring_up
from tracebaton_configurator.startup.reporting import report, report_failure
from tracebaton_configurator.startup.state import STATE


class OpenTelemetryConfigurator:
    """Found by the entry point `opentelemetry_configurator`, chosen by `OTEL_PYTHON_CONFIGURATOR=tracebaton`."""

    def configure(self, auto_instrumentation_version: str | None = None, **_: Any) -> None:
        """Set tracing up; a second call does nothing. Never raises.

        At once: the launcher has imported OpenTelemetry by now, so nobody can tell when the application first does.
        """
        if STATE.configurator:
            return
        STATE.configurator = True
        STATE.launcher_version = auto_instrumentation_version
        try:
            here = settings.current()
            if here.helper:
                return
            if here.disabled:
                report(here.problems, strict=here.strict)
                return
            bring_up()
        except Exception as error:  # noqa: BLE001 (the application must start whatever happens here)
            STATE.failed = error
            report_failure(error, strict=settings.wants_strict(settings.environment()))
