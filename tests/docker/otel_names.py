"""The variables that a container may be given: every other name is a typing error."""

from __future__ import annotations

from tracebaton_configurator import environment_variables as own_variables

# The specification's, as far as the design speaks of them.
# https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
STANDARD = {
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
    "OTEL_LOGS_EXPORTER",
    "OTEL_METRICS_EXPORTER",
    "OTEL_PROPAGATORS",
    "OTEL_PYTHON_CONFIGURATOR",
    "OTEL_PYTHON_DISTRO",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_SDK_DISABLED",
    "OTEL_SERVICE_NAME",
    "OTEL_TRACES_EXPORTER",
    "OTEL_TRACES_SAMPLER",
    "OTEL_TRACES_SAMPLER_ARG",
}
OWN = {name for name in vars(own_variables) if name.startswith("OTEL_TRACEBATON_")}
