"""OpenTelemetry propagators that read and write the W3C headers strictly, to stand in for upstream's two.

They differ from upstream's in what they accept, never raise, and write no log line that a caller could provoke.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from opentelemetry import baggage, propagate
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.propagators import textmap
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, get_current_span, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from tracebaton_configurator.logs.upstream import get_current
from tracebaton_configurator.propagation.w3c.baggage import format_baggage, parse_baggage
from tracebaton_configurator.propagation.w3c.traceparent import format_traceparent, parse_traceparent
from tracebaton_configurator.propagation.w3c.tracestate import parse_tracestate
from tracebaton_configurator.sampling.caller import known_caller, with_caller
from tracebaton_configurator.sampling.detached import left_request
from tracebaton_configurator.sampling.upstream import BAGGAGE, CURRENT_SPAN

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.trace import Span

TRACEPARENT = "traceparent"
TRACESTATE = "tracestate"
BAGGAGE_HEADER = "baggage"


class StrictTraceContextPropagator(textmap.TextMapPropagator):
    """`traceparent` and `tracestate`, by Trace Context Level 2."""

    def extract(
        self,
        carrier: textmap.CarrierT,
        context: Context | None = None,
        getter: textmap.Getter[textmap.CarrierT] = textmap.default_getter,
    ) -> Context:
        """`context` (by default an empty one) with the caller's span; as it is where there is no valid traceparent."""
        if context is None:
            context = Context()
        try:
            parents = _values(carrier, TRACEPARENT, getter)
            parent = parse_traceparent(parents[0]) if len(parents) == 1 else None
            if parent is None:
                return context
            return _with_span(context, parent, _values(carrier, TRACESTATE, getter))
        except Exception:  # noqa: BLE001 (a carrier nobody foresaw costs the trace, not the request)
            return context

    def inject(
        self,
        carrier: textmap.CarrierT,
        context: Context | None = None,
        setter: textmap.Setter[textmap.CarrierT] = textmap.default_setter,
    ) -> None:
        """Write the current span of `context`, if it has a valid one, into `carrier`."""
        _inject_span(carrier, (get_current() if context is None else context).get(CURRENT_SPAN), setter)

    @property
    def fields(self) -> set[str]:
        return {TRACEPARENT, TRACESTATE}


class StrictBaggagePropagator(textmap.TextMapPropagator):
    """`baggage`, all headers of it, within the limits of the W3C specification."""

    def extract(
        self,
        carrier: textmap.CarrierT,
        context: Context | None = None,
        getter: textmap.Getter[textmap.CarrierT] = textmap.default_getter,
    ) -> Context:
        """`context` (by default the current one) with the caller's baggage added."""
        if context is None:
            context = get_current()
        try:
            return with_baggage(context, _values(carrier, BAGGAGE_HEADER, getter))
        except Exception:  # noqa: BLE001
            return context

    def inject(
        self,
        carrier: textmap.CarrierT,
        context: Context | None = None,
        setter: textmap.Setter[textmap.CarrierT] = textmap.default_setter,
    ) -> None:
        """Write the baggage of `context`, as much of it as the limits allow, into `carrier`."""
        _inject_baggage(carrier, get_current() if context is None else context, setter)

    @property
    def fields(self) -> set[str]:
        return {BAGGAGE_HEADER}


def _inject_span(carrier: Any, span: Any, setter: textmap.Setter[Any]) -> None:
    """Never raises, as the next: the outgoing request goes without."""
    try:
        if span is None:
            return
        trace_id, span_id, _, flags, state, is_valid = span.get_span_context()
        if is_valid:
            setter.set(carrier, TRACEPARENT, format_traceparent(trace_id, span_id, flags))
            if state:
                setter.set(carrier, TRACESTATE, state.to_header())
    except Exception:  # noqa: BLE001 (see above)
        return


def _inject_baggage(carrier: Any, context: Context, setter: textmap.Setter[Any]) -> None:
    try:
        if context.get(BAGGAGE):
            header = format_baggage(baggage.get_all(context))
            if header:
                setter.set(carrier, BAGGAGE_HEADER, header)
    except Exception:  # noqa: BLE001 (see above)
        return


def with_baggage(context: Context, values: Sequence[bytes]) -> Context:
    """`context` with what these values of `baggage` headers say, over what it has."""
    found = parse_baggage(values)
    # As `baggage.set_baggage` would, which copies both for each of them.
    return Context({**context, BAGGAGE: {**baggage.get_all(context), **found}}) if found else context


_refused: ContextVar[Callable[[], bool] | None] = ContextVar("tracebaton-callers-refused", default=None)


def refuse_callers(still: Callable[[], bool]) -> Callable[[], None]:
    """Let nothing be extracted, in this task and those that it starts, as long as `still()`. Returns what ends it."""
    token = _refused.set(still)
    return lambda: _refused.reset(token)


class CallersPropagator(CompositePropagator):
    """All propagators of the process, where a caller can be refused.

    While `off`, nothing is extracted, and only what began before is handed on: nothing that begins has valid ids. Work
    that has left its request (`sampling.detached`) does not hand that on. What the process does by itself hands on the
    call in which it was started (`sampling.caller`).

    Without any propagator (`OTEL_PROPAGATORS=none`) upstream's composite answers None for a context, which fails the
    request; this one answers an empty one.
    """

    off = False

    def __init__(self, propagators: Sequence[textmap.TextMapPropagator]) -> None:
        super().__init__(propagators)
        # The default ones, as nearly every process has them.
        self._is_w3c = [type(one) for one in propagators] == [StrictTraceContextPropagator, StrictBaggagePropagator]

    def inject(
        self,
        carrier: textmap.CarrierT,
        context: Context | None = None,
        setter: textmap.Setter[textmap.CarrierT] = textmap.default_setter,
    ) -> None:
        # Baggage alone would go, too; and not every propagator sees that a trace id of zeros is none.
        if left_request(context) is None and (not self.off or get_current_span(context).get_span_context().is_valid):
            try:
                context = with_caller(context)
                if self._is_w3c:
                    context = get_current() if context is None else context
                    _inject_span(carrier, context.get(CURRENT_SPAN), setter)
                    _inject_baggage(carrier, context, setter)
                else:
                    super().inject(carrier, context, setter)
            except Exception as error:  # noqa: BLE001 (a propagator of somebody else's must not fail the application's call)
                _say_failed("written", error)

    def inject_call(self, call: Span, carrier: Any, context: Context, setter: textmap.Setter[Any]) -> None:
        """As `inject`, for a span that is not current in `context`, which is that of a request under way."""
        if self._is_w3c and known_caller() is None:
            _inject_span(carrier, call, setter)
            _inject_baggage(carrier, context, setter)
        else:
            self.inject(carrier, Context({**context, CURRENT_SPAN: call}), setter)

    def extract(
        self,
        carrier: textmap.CarrierT,
        context: Context | None = None,
        getter: textmap.Getter[textmap.CarrierT] = textmap.default_getter,
    ) -> Context:
        refused = _refused.get()
        if refused is not None and refused():
            # The current one has what of the caller is accepted.
            return get_current() if context is None else context
        if self.off:
            return Context() if context is None else context
        try:
            extracted = super().extract(carrier, context, getter)
        except Exception as error:  # noqa: BLE001 (as above: the request goes on without what the caller sent)
            _say_failed("read", error)
            extracted = context  # type: ignore[assignment]  # None is dealt with below
        return Context() if extracted is None else extracted


def install() -> tuple[str, ...]:
    """Put these propagators where upstream's stand in the global one; all others, and the order, stay.

    Returns the names of the classes that were replaced: none where `OTEL_PROPAGATORS` left both out, or where the
    application installed propagators of its own. Checked with opentelemetry-api 1.42 to 1.45: `_propagators` of the
    composite is private, and where it is missing everything stays as it is.
    """
    replaced: list[str] = []
    used = propagate.get_global_textmap()
    if not isinstance(used, CallersPropagator):
        ours = _in_place_of(used, replaced)
        parts = getattr(ours, "_propagators", None) if type(ours) is CompositePropagator else None
        propagate.set_global_textmap(CallersPropagator([ours] if parts is None else list(parts)))
    return tuple(replaced)


def _say_failed(what: str, error: Exception) -> None:
    from tracebaton_configurator.logs import diagnostics

    diagnostics.report(f"propagator {what}", f"Trace headers could not be {what}: {type(error).__name__}")


def _in_place_of(propagator: textmap.TextMapPropagator, replaced: list[str]) -> textmap.TextMapPropagator:
    # Exact types: a subclass is somebody's deliberate change.
    kind = type(propagator)
    if kind is TraceContextTextMapPropagator:
        replaced.append(kind.__name__)
        return StrictTraceContextPropagator()
    if kind is W3CBaggagePropagator:
        replaced.append(kind.__name__)
        return StrictBaggagePropagator()
    if kind is CompositePropagator:
        parts = getattr(propagator, "_propagators", None)
        if isinstance(parts, (list, tuple)):
            return CompositePropagator([_in_place_of(part, replaced) for part in parts])
    return propagator


def _with_span(context: Context, parent: tuple[int, int, int], tracestate: Sequence[bytes]) -> Context:
    trace_id, span_id, flags = parent
    span = SpanContext(trace_id, span_id, True, TraceFlags(flags), parse_tracestate(tracestate))  # noqa: FBT003
    return set_span_in_context(NonRecordingSpan(span), context)


def _values(carrier: textmap.CarrierT, name: str, getter: textmap.Getter[textmap.CarrierT]) -> list[bytes]:
    """The values of one header as bytes that are ASCII exactly where the text is; none where the getter fails.

    Upstream's `ASGIGetter` fails: for bytes that are not UTF-8 it falls back to `unicode_escape`, which raises on a
    stray backslash (opentelemetry/instrumentation/asgi, `_decode_header_item`).
    """
    try:
        values = getter.get(carrier, name)
        if not values:
            return []
        texts = [values] if isinstance(values, (str, bytes)) else values
        return [text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass") for text in texts]
    except Exception:  # noqa: BLE001
        return []
