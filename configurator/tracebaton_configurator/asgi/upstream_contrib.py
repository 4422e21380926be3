"""The private names of OpenTelemetry's FastAPI instrumentation that this package uses.

Checked with opentelemetry-instrumentation-fastapi 0.63b0 to 0.66b2.
"""

from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor, _InstrumentedFastAPI


def instrument(app: object) -> None:
    """Instrument `app` as `_InstrumentedFastAPI` does its own instances, unless it is one of them."""
    if not isinstance(app, _InstrumentedFastAPI) and FastAPIInstrumentor().is_instrumented_by_opentelemetry:
        FastAPIInstrumentor.instrument_app(app, **_InstrumentedFastAPI._instrument_kwargs)  # type: ignore[arg-type]  # noqa: SLF001
