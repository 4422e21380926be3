"""An application that sets OpenTelemetry up by itself: one line says who is in charge, and nothing of its own is lost.

OpenTelemetry has one TracerProvider in a process, the first that is set, and this project's is there before the
application begins. So the application's comes second: it is told apart from an accident, and its exporters get what is
recorded here. Its MeterProvider is the only one, unless metrics were asked for with variables: it counts every request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.metrics import NoOpMeterProvider

from tracebaton_configurator.coexist.exporters import SharedSpans, processors_of
from tracebaton_configurator.coexist.upstream import metrics
from tracebaton_configurator.logs import own
from tracebaton_configurator.patching.around import Around
from tracebaton_configurator.patching.registry import apply

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.trace import TracerProvider

    from tracebaton_configurator.settings import Settings

_IN_CHARGE = "The application sets up a TracerProvider of its own: tracebaton, which was there first, stays in charge"
_ALONE = "Started without tracebaton, it traces by itself alone"


def coexist(
    provider: TracerProvider,
    here: Settings,
    bypass: Callable[[], None],
    on_first: Callable[[], object] = lambda: None,
) -> Callable[[], None]:
    """Watch for providers that the application sets. Returns what undoes it.

    `provider` is this project's; `bypass` is called when a MeterProvider comes that wants to count every request,
    `on_first` before something is said of the one or the other.
    Patches `_set_tracer_provider` and `_set_meter_provider` of opentelemetry-api, through which every way to set one
    leads (checked with 1.42.0 to 1.45.2); where they are missing, upstream refuses a second provider in its own words.
    """
    watched: list[tuple[Any, str, Any]] = []

    def watch(module: Any, name: str, make: Callable[[Any], Any]) -> bool:
        original = getattr(module, name, None)
        if not callable(original):
            return False
        setattr(module, name, make(original))
        watched.append((module, name, original))
        return True

    apply(
        "tracer-provider",
        lambda: watch(trace, "_set_tracer_provider", lambda original: _tracers(original, provider, here, on_first)),
    )
    apply(
        "meter-provider",
        lambda: watch(metrics, "_set_meter_provider", lambda original: _meters(original, bypass, on_first)),
    )

    def undo() -> None:
        for module, name, original in watched:
            setattr(module, name, original)

    return undo


def _tracers(original: Any, provider: TracerProvider, here: Settings, on_first: Callable[[], object]) -> Any:
    shared = SharedSpans(provider, here)

    def set_tracer_provider(second: Any, *args: Any, **kwargs: Any) -> None:
        if trace.get_tracer_provider() is not provider:
            original(second, *args, **kwargs)  # the first one was taken away: what this does is no longer ours to say
            return
        processors = processors_of(second)
        if second is provider or shared.knows(processors):
            return
        on_first()
        if processors is None:
            own.warning("%s. %s.", _IN_CHARGE, _ALONE)
            return
        shared.add(processors)
        own.warning(
            "%s, samples, and hands what it records to the application's exporters too, except to one that sends to "
            "where tracebaton sends. %s.",
            _IN_CHARGE,
            _ALONE,
        )

    return set_tracer_provider


def _meters(original: Any, bypass: Callable[[], None], on_first: Callable[[], object]) -> Any:
    said = False

    def set_meter_provider(meters: Any, *args: Any, **kwargs: Any) -> None:
        nonlocal said
        original(meters, *args, **kwargs)
        if metrics.get_meter_provider() is meters and not isinstance(meters, NoOpMeterProvider):
            bypass()
            if said:
                return
            said = True
            on_first()
            own.info(
                "The application sets up a MeterProvider of its own: unsampled requests take upstream's path, because "
                "metrics count every request."
            )

    return set_meter_provider


def around() -> dict[str, Around]:
    return {"fastapi": Around(after=lambda: apply("fastapi-arguments", respect_own_instrumentation))}


def respect_own_instrumentation() -> None:
    """Let an application that instruments its FastAPI object itself have its own arguments: hooks, URLs, meters.

    Upstream refuses the second `instrument_app` of an application. Here the automatic one is taken back before, as
    `uninstrument_app` does (which also builds the middleware, so that nothing could be added to it any more). The
    tracer provider stays this project's; the one that was asked for gets a share. To be called when the middleware has
    patched the method. Checked with opentelemetry-instrumentation-fastapi 0.63b0 to 0.66b2.
    """
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

    automatic = FastAPIInstrumentor.instrument_app

    def instrument_app(app: Any, *args: Any, **kwargs: Any) -> None:
        chosen = _by_name(args, kwargs)
        again = getattr(app, "_is_instrumented_by_opentelemetry", False)
        before = getattr(app, "_original_build_middleware_stack", None)
        if not again or before is None:
            automatic(app, *args, **kwargs)
            return
        if getattr(app, "middleware_stack", None) is not None or not chosen:
            own.debug("The application is instrumented already; its own instrument_app changes nothing.")
            return
        asked = chosen.pop("tracer_provider", None)
        if asked is not None:
            trace.set_tracer_provider(asked)
        app.build_middleware_stack = before
        app._is_instrumented_by_opentelemetry = False  # noqa: SLF001 (upstream's own mark, see above)
        automatic(app, **{**_automatic_arguments(), **chosen})

    FastAPIInstrumentor.instrument_app = staticmethod(instrument_app)  # type: ignore[method-assign]


def _by_name(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """What the caller asked for, less what is None as if it had not been given."""
    names = (
        "server_request_hook",
        "client_request_hook",
        "client_response_hook",
        "tracer_provider",
        "meter_provider",
        "excluded_urls",
        "http_capture_headers_server_request",
        "http_capture_headers_server_response",
        "http_capture_headers_sanitize_fields",
        "exclude_spans",
    )
    asked = {**dict(zip(names, args, strict=False)), **kwargs}
    return {name: value for name, value in asked.items() if value is not None}


def _automatic_arguments() -> dict[str, Any]:
    """What upstream's subclass of FastAPI instruments each application with."""
    from opentelemetry.instrumentation import fastapi

    kind = getattr(fastapi, "_InstrumentedFastAPI", None)
    return dict(getattr(kind, "_instrument_kwargs", None) or {})
