"""`OpenTelemetryConfigurator`: turns settings into log hook, provider, sampler, exporter and gate.

Nothing of the SDK is imported before it is known that tracing is on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tracebaton_configurator import settings
from tracebaton_configurator.logs import hook, trouble
from tracebaton_configurator.problems import report, report_failure

if TYPE_CHECKING:
    from tracebaton_configurator.pipeline import Pipeline


class OpenTelemetryConfigurator:
    """Found by the entry point `opentelemetry_configurator`, chosen by `OTEL_PYTHON_CONFIGURATOR=tracebaton`."""

    configured = False
    pipeline: Pipeline | None = None
    failed: Exception | None = None
    """Why tracing could not start, the distro's part included; nothing is instrumented then."""

    def configure(self, auto_instrumentation_version: str | None = None, **_: Any) -> None:
        """Set tracing up. Never raises: whatever goes wrong, the application runs, untraced, and one line says why.

        Under `OTEL_TRACEBATON_STRICT=true` a wrong setting, and whatever else goes wrong, ends the process here, with
        status 78.
        """
        OpenTelemetryConfigurator.configured = True
        try:
            if self.failed is not None:
                raise self.failed
            here = settings.current()
            if here.helper:
                return
            if here.disabled:
                report(here.problems, strict=here.strict)
                return
            hook.install(here.logs, here.service_name)
            trouble.install()
            report(here.problems, strict=here.strict)
            from tracebaton_configurator.pipeline import start
            from tracebaton_configurator.start_up import leave_out_httpx_client

            leave_out_httpx_client()
            OpenTelemetryConfigurator.pipeline = start(here, auto_instrumentation_version)
        except Exception as error:  # noqa: BLE001 (the application must start whatever happens here)
            OpenTelemetryConfigurator.failed = error
            report_failure(error, strict=settings.wants_strict(settings.environment()))
