"""The SDK's sampler and id generator of this process, which make a request's span as was decided before."""

from __future__ import annotations

import logging
from contextvars import ContextVar
from random import getrandbits
from typing import TYPE_CHECKING

from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import SpanKind, get_current_span

from tracebaton_configurator.logs.upstream import NAMES_OF_API, RUNTIME, follow_runtime, followed, get_current
from tracebaton_configurator.sampling.decision import UNSAMPLED, pending_decision
from tracebaton_configurator.sampling.root_sampler import RuleRootSampler

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.context import Context
    from opentelemetry.trace import Link, Span, SpanContext, TraceState
    from opentelemetry.util.types import Attributes

    from tracebaton_configurator.sampling.decision import RequestDecision
    from tracebaton_configurator.sampling.root_sampler import RootSampler


# The span id that `DecisionIdGenerator` is to give next, 0 for a new one: the SDK asks it right after the sampler.
_parents_span_id: ContextVar[int] = ContextVar("tracebaton-parents-span-id", default=0)


def follow(parent: SpanContext) -> tuple[bool, TraceState]:
    """The parent-based rule: whether a child of `parent` is recorded, and its trace state."""
    return parent.trace_flags.sampled, parent.trace_state


class TracebatonSampler(Sampler):
    """Records what has been decided already; what has a parent does as that did, and the rest is the root sampler's.

    While `off`, nothing begins any more: only the spans of a request whose own is unfinished are recorded.

    An INTERNAL span that is not recorded has the span id of its parent: what is logged within, and what is called, then
    names a span that there is, or will be where its request is kept. Calls have ids of their own, as on the wire.
    """

    def __init__(self, root_sampler: RootSampler, *, follows_parents: bool = True) -> None:
        self.sampling = root_sampler, follows_parents
        """Replaced as a whole while requests are under way, so that each sees one pair or the other."""
        self.off = False
        self.on_first: Callable[[], object] | None = None
        """Called with the first span of the process."""

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        decision = self.take_decision(trace_id)
        if decision is not None:
            if not decision.recorded:
                return SamplingResult(Decision.DROP, None, decision.trace_state)
            return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes, decision.trace_state)
        context = parent_context if parent_context is not None else get_current()
        span = get_current_span(context)
        parent = span.get_span_context()
        # Without a trace id: `DecisionIdGenerator` was off a moment ago.
        if context.get(UNSAMPLED) or not trace_id or (self.off and not span.is_recording()):
            return _drop(parent, kind, parent.trace_state)
        root_sampler, follows_parents = self.sampling
        if follows_parents and parent.is_valid:
            recorded, state = follow(parent)
            if recorded:
                return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes, state)
            return _drop(parent, kind, state)
        return root_sampler.span(parent_context, trace_id, name, kind, attributes, links, trace_state)

    def take_decision(self, trace_id: int) -> RequestDecision | None:
        """The one that is pending for a span of this trace, and is consumed by this."""
        if self.on_first is not None:
            self.call_on_first()
        if _parents_span_id.get():  # of a span whose provider has another id generator
            _parents_span_id.set(0)
        decision = pending_decision.get()
        if decision is None or decision.consumed or decision.trace_id != trace_id:
            return None
        decision.consumed = True
        return decision

    def follows(self, parent: Span, context: Context) -> bool:
        """Whether `should_sample` would do no more for a child of `parent`, which is recorded, than to have it so too.

        Where this is not certain, False.
        """
        decision = pending_decision.get()
        return (
            (decision is None or decision.consumed)
            and self.on_first is None
            and self.sampling[1]
            and not _parents_span_id.get()
            and not context.get(UNSAMPLED)
            and (not self.off or parent.is_recording())
        )

    def call_on_first(self) -> None:
        """Call `on_first`, unless it has been called and taken away."""
        if NAMES_OF_API.get(RUNTIME) is not followed[0]:
            follow_runtime()
        if self.on_first is not None:
            self.on_first()

    def get_description(self) -> str:
        root_sampler, follows_parents = self.sampling
        return root_sampler.describe(follows_parents=follows_parents)


class WhileOff:
    """True while the sampler is off."""

    def __init__(self, sampler: TracebatonSampler) -> None:
        self._sampler = sampler

    def __bool__(self) -> bool:
        return self._sampler.off


def _drop(parent: SpanContext, kind: SpanKind | None, state: TraceState | None) -> SamplingResult:
    if parent.is_valid and kind is SpanKind.INTERNAL:
        _parents_span_id.set(parent.span_id)
    return SamplingResult(Decision.DROP, None, state)


class Untraced:
    """A request that began while tracing was off: it ends as it began, and what it leaves behind follows the switch.

    True for as long as there is to be nothing of it.
    """

    __slots__ = ("_while_off", "ended")

    def __init__(self, while_off: WhileOff) -> None:
        self._while_off = while_off
        self.ended = False

    def __bool__(self) -> bool:
        return not self.ended or bool(self._while_off)


def _random_trace_id() -> int:
    """As the SDK's `RandomIdGenerator`, in fewer steps."""
    return getrandbits(128) or _random_trace_id()


def _random_span_id() -> int:
    return getrandbits(64) or _random_span_id()


class DecisionIdGenerator(IdGenerator):
    """Gives a span the ids that were decided for it, and asks `others` for the rest.

    While `off`, a root gets the trace id 0, which is none: so it is in no line of log and in no header.
    """

    def __init__(self, others: IdGenerator) -> None:
        self.others = others
        self.off = False
        is_sdks = type(others) is RandomIdGenerator
        self.generate_random_trace_id = _random_trace_id if is_sdks else others.generate_trace_id
        self.generate_random_span_id = _random_span_id if is_sdks else others.generate_span_id

    def generate_trace_id(self) -> int:
        decision = pending_decision.get()
        if decision is not None and not decision.consumed:
            return decision.trace_id
        return 0 if self.off else self.generate_random_trace_id()

    def generate_span_id(self) -> int:
        decision = pending_decision.get()
        # The span's id is asked for right after its sampling, and that only once.
        if decision is not None and decision.consumed and decision.span_id:
            span_id, decision.span_id = decision.span_id, 0
            return span_id
        if span_id := _parents_span_id.get():
            _parents_span_id.set(0)
            return span_id
        return self.generate_random_span_id()

    def is_trace_id_random(self) -> bool:
        # SDKs before 1.43 do not ask.
        is_random = getattr(self.others, "is_trace_id_random", None)
        return bool(is_random()) if is_random is not None else False


def make_sampler(argument: str | None) -> TracebatonSampler:
    """What the entry point `opentelemetry_traces_sampler` calls under another distro; wrong rules mean the default."""
    from tracebaton_configurator.sampling.rule_set import RuleSet
    from tracebaton_configurator.sampling.rules import RuleError, effective_rules

    try:
        rules = effective_rules(argument)
    except RuleError as error:
        logging.getLogger("tracebaton").error(  # noqa: TRY400 (a sentence, no traceback)
            "OTEL_TRACES_SAMPLER_ARG: %s; the default rules apply.", error
        )
        rules = effective_rules(None)
    return TracebatonSampler(RuleRootSampler(RuleSet(rules)))
