"""Tests of upstream's that fail under `tracebaton run` and pass under upstream's launcher, each with its reason.

Nothing else may, and one that does not fail any more is struck out here.
"""

from __future__ import annotations

from dataclasses import dataclass

DIAGNOSTICS = "it counts lines that OpenTelemetry logs about itself; the logger `tracebaton` says them instead, once"


@dataclass(frozen=True)
class Difference:
    """`test` is pytest's name of it, without the directory; `age` is in the names of the ages at which it is so."""

    suite: str
    test: str
    reason: str
    age: str = ""


NAMED = (
    # With FastAPI 0.165 it fails without any launcher, too.
    Difference(
        "fastapi", "test_fastapi_instrumentation.TestFastAPIFallback::test_no_instrumentation", DIAGNOSTICS, "oldest"
    ),
    Difference(
        "logging",
        "test_logging.TestLoggingInstrumentor"
        "::test_handler_setup_is_disabled_if_sdk_autoinstrumentation_env_var_is_set_to_true",
        DIAGNOSTICS,
    ),
)
