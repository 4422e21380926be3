"""The SDK's span in fewer steps, for spans that nobody but the own span processors get to see.

Follows `Tracer.start_span`, `Span.__init__` and `Span.end` of opentelemetry-sdk 1.42.0 to 1.45.2. What is left out is
what has no effect there: the second cleaning of attributes that are clean, lists for events and links that hardly any
span has, the copy that processors are handed. A span is one of the SDK's to whoever asks, and everything that is not
done here is the SDK's own code. `tests/configurator/sampling/test_light_span.py` holds both against each other.
"""
# ruff: noqa: SLF001 (it is the SDK's class whose fields these are)

from __future__ import annotations

import threading
from time import time_ns
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Span as SdkSpan
from opentelemetry.sdk.trace import SpanLimits, SpanProcessor, Tracer
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Decision
from opentelemetry.sdk.util import BoundedList
from opentelemetry.trace import (
    INVALID_SPAN_CONTEXT,
    NonRecordingSpan,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    get_current_span,
)

from tracebaton_configurator.sampling.sampler import TracebatonSampler
from tracebaton_configurator.sampling.upstream import CURRENT_SPAN, local_span_context

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from opentelemetry.trace import Link, Span, SpanContext
    from opentelemetry.util.types import Attributes, AttributeValue

# What the SDK's cleaning leaves as it is, unless texts are limited.
_CLEAN = frozenset((str, int, bool, float))
_RECORDED = Decision.RECORD_AND_SAMPLE
_UNSET = Status(StatusCode.UNSET)
_RANDOM = TraceFlags.RANDOM_TRACE_ID
# A child has its parent's random flag since SDK 1.43; before that, the id generator is asked for each span.
_CHILDREN_HAVE_RANDOM = "random_trace_id" in Tracer.start_span.__code__.co_names
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_SAMPLED_RANDOM = TraceFlags(TraceFlags.SAMPLED | _RANDOM)

_fits = False


class LightSpan(SdkSpan):
    """Made by `start_light`. It goes to its `_queues` itself when it has ended, and changes no more from then on."""

    _attributes: Any
    _queues: Sequence[SpanProcessor]
    redacted = False
    """Whether its secrets have been hidden, which its exporter's thread does."""

    def set_attribute(self, key: str, value: AttributeValue) -> None:
        attributes = self._attributes
        if value.__class__ in _CLEAN and key.__class__ is str and key and attributes.max_value_len is None:
            with self._lock:
                known = attributes._dict
                if self._end_time is None and (attributes.maxlen is None or len(known) < attributes.maxlen):
                    known.pop(key, None)  # the SDK's has the newest last
                    known[key] = value
                    return
        super().set_attribute(key, value)

    def set_attributes(self, attributes: Mapping[str, AttributeValue]) -> None:
        mapping = self._attributes
        if attributes.__class__ is dict and mapping.max_value_len is None and _are_clean(attributes):
            with self._lock:
                known = mapping._dict
                room = len(attributes) if mapping.maxlen is None else mapping.maxlen - len(known)
                if self._end_time is None and len(attributes) <= room:
                    for key, value in attributes.items():
                        known.pop(key, None)
                        known[key] = value
                    return
        super().set_attributes(attributes)

    def _add_event(self, event: Any) -> None:
        with self._lock:
            if self._events is _NO_EVENTS:
                self._events = self._new_events()  # type: ignore[no-untyped-call]
        super()._add_event(event)

    def _add_link(self, link: Any) -> None:
        with self._lock:
            if self._links is _NO_EVENTS:
                self._links = self._new_links(())
        super()._add_link(link)

    def end(self, end_time: int | None = None) -> None:
        processor: Any = self._span_processor
        if processor.queues is not self._queues:  # somebody else's has come since
            super().end(end_time)
            return
        with self._lock:
            is_first = self._end_time is None
            if is_first:
                self._end_time = end_time if end_time is not None else time_ns()
                self._attributes._immutable = True
        if not is_first:
            super().end(end_time)  # which says so
            return
        if self._record_end_metrics is not None:
            self._record_end_metrics()
        for queue in self._queues:
            queue.on_end(self)


_NO_EVENTS: Any = BoundedList(0)  # nothing is ever put into it


def start_light(
    tracer: Tracer,
    queues: Sequence[SpanProcessor],
    name: str,
    context: Context | None = None,
    kind: SpanKind = SpanKind.INTERNAL,
    attributes: Attributes = None,
    links: Sequence[Link] | None = (),
    start_time: int | None = None,
    record_exception: bool = True,  # noqa: FBT001, FBT002
    set_status_on_exception: bool = True,  # noqa: FBT001, FBT002
) -> Span:
    """As `Tracer.start_span`, for a tracer whose provider's processors are these `queues` and what only redacts."""
    its: Any = tracer
    links = links or ()
    above: Any = context.get(CURRENT_SPAN) if context is not None else None
    if above.__class__ is LightSpan and its._is_enabled() and _is_followed(its.sampler, above, context):
        parent: Any = above._context
        decision, result_attributes = _RECORDED, attributes
        trace_id, _, _, flags, state, _ = parent
        if not _CHILDREN_HAVE_RANDOM:
            flags = _SAMPLED_RANDOM if its.id_generator.is_trace_id_random() else _SAMPLED
        span_context = local_span_context(trace_id, its.id_generator.generate_span_id(), flags, state)
    else:
        parent = get_current_span(context).get_span_context() if context is None or above is not None else None
        if not its._is_enabled():
            return NonRecordingSpan(parent or INVALID_SPAN_CONTEXT)
        if parent is None or not parent.is_valid:
            parent = None
        span_context, decision, result_attributes = _sample(its, parent, name, context, kind, attributes, links)
    metrics = getattr(its, "_tracer_metrics", None)
    record_end_metrics = metrics.start_span(parent, decision) if metrics is not None else None
    if decision is not _RECORDED and not decision.is_recording():  # type: ignore[no-untyped-call]
        return NonRecordingSpan(span_context)
    span: Any = object.__new__(LightSpan)
    limits = its._span_limits
    span._name = name
    span._context = span_context
    span._kind = kind
    span._instrumentation_info = its.instrumentation_info
    span._instrumentation_scope = its._instrumentation_scope
    span._parent = parent
    span._end_time = None
    span._resource = its.resource
    span._status = _UNSET
    span._sampler = its.sampler
    span._trace_config = None
    span._record_exception = record_exception
    span._set_status_on_exception = set_status_on_exception
    span._span_processor = its.span_processor
    span._limits = limits
    span._lock = threading.Lock()
    span._attributes = _bounded(result_attributes, limits)
    span._events = _NO_EVENTS
    span._links = span._new_links(links) if links else _NO_EVENTS
    span._record_end_metrics = record_end_metrics
    span._queues = queues
    span._start_time = start_time if start_time is not None else time_ns()
    for queue in queues:
        queue.on_start(span, context)
    return span  # type: ignore[no-any-return]


def _is_followed(sampler: Any, above: Any, context: Any) -> bool:
    """Whether the sampler would have a child of this light span recorded, and say no more of it."""
    flags = above._context[3]
    return sampler.__class__ is TracebatonSampler and flags & 1 and sampler.follows(above, context)


def _sample(
    its: Any,
    parent: SpanContext | None,
    name: str,
    context: Context | None,
    kind: SpanKind,
    attributes: Attributes,
    links: Sequence[Link],
) -> tuple[SpanContext, Decision, Attributes]:
    """The span context, the decision and the attributes of what the sampler of the tracer is asked about."""
    ids, sampler = its.id_generator, its.sampler
    trace_id = ids.generate_trace_id() if parent is None else parent.trace_id
    decided = sampler.take_decision(trace_id) if sampler.__class__ is TracebatonSampler else None
    if decided is not None:
        decision, state = _RECORDED if decided.recorded else Decision.DROP, decided.trace_state
    else:
        result = sampler.should_sample(context, trace_id, name, kind, attributes, links)
        decision, attributes, state = result.decision, result.attributes, result.trace_state
    if parent is not None and _CHILDREN_HAVE_RANDOM:
        is_random = parent.trace_flags.random_trace_id
    else:
        is_random = ids.is_trace_id_random()
    if decision is _RECORDED or decision.is_sampled():  # type: ignore[no-untyped-call]
        flags = _SAMPLED_RANDOM if is_random else _SAMPLED
    else:
        flags = TraceFlags(_RANDOM if is_random else TraceFlags.DEFAULT)
    return local_span_context(trace_id, ids.generate_span_id(), flags, state), decision, attributes


def _bounded(attributes: Attributes, limits: Any) -> BoundedAttributes:
    """The SDK's mapping of them; what is clean already is not cleaned again."""
    most, longest = limits.max_span_attributes, limits.max_span_attribute_length
    if not attributes:
        return BoundedAttributes(most, None, immutable=False, max_value_len=longest)
    if longest is None and (most is None or len(attributes) <= most):
        own = dict(attributes)
        if _are_clean(own):
            bounded = BoundedAttributes(most, None, immutable=False)
            bounded._dict = own
            return bounded
    return BoundedAttributes(most, attributes, immutable=False, max_value_len=longest)


def _are_clean(attributes: Mapping[str, Any]) -> bool:
    for key, value in attributes.items():
        if value.__class__ not in _CLEAN or key.__class__ is not str:
            return False
    return "" not in attributes


def can_be_light() -> bool:
    """Whether the SDK's spans are made of what `start_light` makes them of; else the SDK makes them."""
    return _fits


def fit() -> bool:
    """Find that out, once a process."""
    global _fits  # noqa: PLW0603 (a fact about the process)
    _fits = False
    _fits = _is_as_expected()
    return _fits


def _is_as_expected() -> bool:
    """Without a provider, which would ask for the resource's detectors."""
    resource, processor = Resource({}), SpanProcessor()
    theirs: Any = object.__new__(SdkSpan)  # the class itself refuses
    theirs.__init__("a", INVALID_SPAN_CONTEXT, resource=resource, span_processor=processor, attributes={"a": "b"})
    theirs.start()
    tracer: Any = SimpleNamespace(
        _is_enabled=lambda: True,
        id_generator=RandomIdGenerator(),
        sampler=ALWAYS_ON,
        _span_limits=SpanLimits(),
        instrumentation_info=None,
        _instrumentation_scope=None,
        resource=resource,
        span_processor=processor,
    )
    ours: Any = start_light(tracer, (), "a", Context(), attributes={"a": "b"})
    return (
        hasattr(Tracer, "_is_enabled")
        and {*vars(theirs), "_queues"} == vars(ours).keys()
        and type(theirs._attributes) is type(ours._attributes)
        and vars(theirs._attributes).keys() == vars(ours._attributes).keys()
    )
