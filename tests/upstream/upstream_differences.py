"""Tests of upstream's that fail under `tracebaton run` and pass under upstream's launcher, each with its reason.

Nothing else may, and one that does not fail any more is struck out here.
"""

from __future__ import annotations

from dataclasses import dataclass

BODY_SIZE = "it compares all attributes of a call, and here the span lasts to the end of the body and says its size"
DIAGNOSTICS = "it counts lines that OpenTelemetry logs about itself; the logger `tracebaton` says them instead, once"


@dataclass(frozen=True)
class Difference:
    """`test` is pytest's name of it, without the directory; `age` is in the names of the ages at which it is so."""

    suite: str
    test: str
    reason: str
    age: str = ""


# By the end of their names: of the classes `Test[A]syncInstrumentationIntegration` and `Test[A]syncIntegration`.
_ALL = ("AsyncInstrumentation", "Async", "SyncInstrumentation", "Sync")
_HTTPX = {
    "basic": ("AsyncInstrumentation", "Async", "SyncInstrumentation"),
    "basic_both_semconv": _ALL,
    "basic_new_semconv": _ALL,
    "nonstandard_http_method": _ALL,
    "nonstandard_http_method_new_semconv": _ALL,
    "requests_500_error": _ALL,
    "response_hook": _ALL,
    "response_hook_sync_async_kwargs": ("AsyncInstrumentation", "SyncInstrumentation"),
    "async_response_hook_does_nothing_if_not_coroutine": ("AsyncInstrumentation",),
}

NAMED = (
    *(
        Difference("httpx", f"test_httpx_integration.Test{client}Integration::test_{test}", BODY_SIZE)
        for test, clients in _HTTPX.items()
        for client in clients
    ),
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
