"""The `OTEL_*` variables that there are, for whoever explains an environment."""

from __future__ import annotations

from importlib.metadata import entry_points
from re import compile as regex

# Those that OpenTelemetry reads and lists nowhere: opentelemetry-api 1.42.0 to 1.45.2, and its logging instrumentation.
_UNLISTED = frozenset([
    "OTEL_PYTHON_EXCLUDED_URLS",
    "OTEL_PYTHON_LOGGER_PROVIDER",
    "OTEL_PYTHON_LOGGING_AUTO_INSTRUMENTATION_ENABLED",
    "OTEL_PYTHON_LOG_CORRELATION",
    "OTEL_PYTHON_LOG_FORMAT",
    "OTEL_PYTHON_LOG_LEVEL",
])  # fmt: skip
# What single instrumentations read: opentelemetry/util/http and opentelemetry/instrumentation, 0.63b0 to 0.66b2.
_OF_INSTRUMENTATIONS = regex(
    r"OTEL_INSTRUMENTATION_[A-Z0-9_]+|OTEL_PYTHON_[A-Z0-9_]+_(?:EXCLUDED_URLS|TRACED_REQUEST_ATTRS)"
    r"|OTEL_PYTHON_(?:INSTRUMENTATION|DJANGO|SQLCOMMENTER)_[A-Z0-9_]+"
)


def known_variables() -> frozenset[str]:
    """What the installed packages list for the launcher's `--help`, this project's own among them."""
    known = set(_UNLISTED)
    for point in entry_points(group="opentelemetry_environment_variables"):
        try:
            values = vars(point.load()).values()
        except Exception:  # noqa: BLE001, S112 (a stranger's module; the others are known all the same)
            continue
        known |= {value for value in values if isinstance(value, str) and value.startswith("OTEL_") and value.isupper()}
    return frozenset(known)


def is_of_instrumentation(variable: str) -> bool:
    """Whether the name has a form that only an instrumentation knows the meaning of."""
    return _OF_INSTRUMENTATIONS.fullmatch(variable) is not None
