"""The private names of OpenTelemetry's Starlette instrumentation that this package uses.

Checked with opentelemetry-instrumentation-starlette 0.63b0 to 0.66b1.
"""

from typing import Any

from opentelemetry.instrumentation.starlette import StarletteInstrumentor, _InstrumentedStarlette

_ARGUMENTS = (
    *("server_request_hook", "client_request_hook", "client_response_hook"),
    *("meter_provider", "tracer_provider"),
)


def original_class() -> Any:
    """Starlette's own class, which upstream's stands in for by name."""
    return _InstrumentedStarlette.__mro__[1]


def instrument(app: Any) -> None:
    """Instrument `app` as `_InstrumentedStarlette` does its own instances, unless it is one of them."""
    if not isinstance(app, _InstrumentedStarlette) and StarletteInstrumentor().is_instrumented_by_opentelemetry:
        names = (
            "server_request_hook",
            "client_request_hook",
            "client_response_hook",
            "meter_provider",
            "tracer_provider",
        )
        given = {name: getattr(_InstrumentedStarlette, f"_{name}") for name in names}
        StarletteInstrumentor.instrument_app(app, **given)
