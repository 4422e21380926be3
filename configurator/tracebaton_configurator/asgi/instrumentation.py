"""The sampling middleware of this process: built once tracing is configured, put in place as instrumentations load."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry import propagate

from tracebaton_configurator.asgi.clean_context import begin_clean
from tracebaton_configurator.asgi.fast_path import FastPath
from tracebaton_configurator.asgi.guard import or_uninstrumented
from tracebaton_configurator.patching import on_import
from tracebaton_configurator.patching.around import Around
from tracebaton_configurator.patching.registry import apply
from tracebaton_configurator.propagation.trust import Trust
from tracebaton_configurator.propagation.w3c.propagator import StrictBaggagePropagator, StrictTraceContextPropagator
from tracebaton_configurator.sampling.late_spans import LateSpans

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from ipaddress import IPv4Network, IPv6Network
    from types import ModuleType

    from tracebaton_configurator.sampling.sampler import DecisionIdGenerator, TracebatonSampler


class AsgiInstrumentation:
    """What the sampling middlewares of this process share, and where they are put."""

    def __init__(
        self,
        sampler: TracebatonSampler,
        ids: DecisionIdGenerator,
        *,
        trust_parent: bool | Sequence[IPv4Network | IPv6Network],
        keep_errors: bool,
        keep_slower_than: float | None,
        keep_calls: bool = True,
        keep_slower_than_total: bool = False,
        event_spans: bool = False,
    ) -> None:
        self._event_spans = event_spans
        self.fast_path = FastPath(sampler, ids, Trust(trust_parent), w3c_only=_propagates_w3c_only())
        self.late_spans = LateSpans(
            errors=keep_errors, slower_than=keep_slower_than, total=keep_slower_than_total, calls=keep_calls
        )
        begin_clean()

    def around(self) -> dict[str, Around]:
        """For the instrumentations of ASGI frameworks."""
        return {"fastapi": Around(after=self._after_fastapi), "starlette": Around(after=self._after_starlette)}

    def _after_fastapi(self) -> None:
        _survive_any_header()
        apply("fastapi", lambda: _patch_instrument_app(self))
        apply("fastapi-class", _patch_fastapi)

    def _after_starlette(self) -> None:
        from tracebaton_configurator.asgi.starlette import add_to_starlette

        _survive_any_header()
        apply("starlette", lambda: add_to_starlette(self, event_spans=self._event_spans))

    def finish(self, is_instrumented: Callable[[], bool]) -> None:
        """Called when all instrumentations are known; `is_instrumented` says of FastAPI, once it is imported."""

        def come(_: ModuleType) -> None:
            if not is_instrumented():
                from tracebaton_configurator.asgi.fastapi_telemetry import sample_fastapi_telemetry

                sample_fastapi_telemetry(self.fast_path, self.late_spans)

        on_import.after("fastapi", come)

    def serve_starlette(self, on_made: Callable[[], object]) -> None:
        """Called where upstream's instrumentation for Starlette is not installed; `on_made` with the first application.

        Many import Starlette who serve nothing by it, FastAPI's applications among them.
        """

        def come(applications: ModuleType) -> None:
            original = applications.Starlette.__init__
            begun = False

            def __init__(app: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
                nonlocal begun
                if applications.Starlette.__init__ is __init__:  # else somebody has put something around it
                    applications.Starlette.__init__ = original
                original(app, *args, **kwargs)
                if not begun:
                    begun = True
                    or_uninstrumented(begin, app)

            applications.Starlette.__init__ = __init__

        def begin(_: Any) -> None:
            from tracebaton_configurator.asgi.starlette import serve_starlette

            _survive_any_header()
            if apply("starlette", lambda: serve_starlette(self, event_spans=self._event_spans)):
                on_made()

        on_import.after("starlette.applications", come)


def _survive_any_header() -> None:
    from tracebaton_configurator.asgi.header_decoding import survive_any_header

    apply("header-decoding", survive_any_header)


def _patch_instrument_app(asgi: AsgiInstrumentation) -> None:
    """Patch `FastAPIInstrumentor.instrument_app`, which upstream's FastAPI subclass calls for each application.

    An application that is instrumented with a provider of its own is left to upstream: decisions made here are not
    meant for it.
    """
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

    from tracebaton_configurator.asgi.middleware import add_sampling_middleware

    original = FastAPIInstrumentor.instrument_app

    def instrument_app(app: Any, *args: Any, **kwargs: Any) -> None:
        before = app.build_middleware_stack
        original(app, *args, **kwargs)
        own_provider = args[3:5] != () or any(kwargs.get(name) for name in ("tracer_provider", "meter_provider"))
        if app.build_middleware_stack != before and not own_provider:
            add_sampling_middleware(app, asgi)

    FastAPIInstrumentor.instrument_app = staticmethod(instrument_app)  # type: ignore[method-assign]


def _patch_fastapi() -> None:
    """Patch FastAPI's own class: upstream's subclass only takes the place of the name `fastapi.FastAPI`."""
    from fastapi.applications import FastAPI

    from tracebaton_configurator.asgi.upstream_contrib import instrument

    original: Any = FastAPI.__init__

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        original(self, *args, **kwargs)
        or_uninstrumented(instrument, self)

    FastAPI.__init__ = __init__  # type: ignore[method-assign]


def _propagates_w3c_only() -> bool:
    """Whether trace context and baggage are all that is propagated: then their headers can be read directly."""
    propagators = getattr(propagate.get_global_textmap(), "_propagators", ())
    kinds = {type(one) for one in propagators}
    return StrictTraceContextPropagator in kinds and kinds <= {StrictTraceContextPropagator, StrictBaggagePropagator}
