"""The sampler `tracebaton`: parent-based and consistent, by the rules of the table."""

from __future__ import annotations

import logging
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING

from opentelemetry import context as context_api
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import SpanKind, TraceState, get_current_span

from tracebaton_configurator.sampling.threshold import randomness_of, th_value

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.context import Context
    from opentelemetry.trace import Link
    from opentelemetry.util.types import Attributes

    from tracebaton_configurator.sampling.rule_set import Table


# Set in the context of a request that is not recorded; nothing below it is, whatever a sampler would say.
UNRECORDED = context_api.create_key("tracebaton-unrecorded")


class Decided:
    """A decision that was made before its span exists: taken once, by the next span of that trace.

    The span gets `trace_state`; where it has no parent, it gets `trace_id`, and `span_id` if there is one.
    """

    __slots__ = ("recorded", "span_id", "taken", "trace_id", "trace_state")

    def __init__(
        self, trace_id: int, trace_state: TraceState | None, span_id: int | None = None, *, recorded: bool = True
    ) -> None:
        self.recorded = recorded
        self.trace_id = trace_id
        self.span_id = span_id
        self.trace_state = trace_state
        self.taken = False


# Not in OpenTelemetry's own context: upstream's middleware starts from an empty one when it reads a request's headers.
decision: ContextVar[Decided | None] = ContextVar("tracebaton-decision", default=None)


class DecidedSampler(Sampler):
    """Records what has been decided already, and asks `others` about the rest.

    While `off`, nothing begins any more: only the spans of a request whose own is unfinished are recorded.
    """

    def __init__(self, others: Sampler) -> None:
        self.others = others
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
        if self.on_first is not None:
            self.announce()
        decided = decision.get()
        if decided is not None and not decided.taken and decided.trace_id == trace_id:
            decided.taken = True
            if not decided.recorded:
                return SamplingResult(Decision.DROP, None, decided.trace_state)
            return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes, decided.trace_state)
        context = parent_context if parent_context is not None else context_api.get_current()
        # Without a trace id: `DecidedIds` was off a moment ago.
        if UNRECORDED in context or not trace_id or (self.off and not get_current_span(context).is_recording()):
            return SamplingResult(Decision.DROP, None, get_current_span(context).get_span_context().trace_state)
        return self.others.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)

    def announce(self) -> None:
        """Call `on_first`, unless it has been called and taken away."""
        if self.on_first is not None:
            self.on_first()

    def get_description(self) -> str:
        return self.others.get_description()


class DecidedIds(IdGenerator):
    """Gives a span the ids that were decided for it, and asks `others` for the rest.

    While `off`, a root gets the trace id 0, which is none: so it is in no line of log and in no header.
    """

    def __init__(self, others: IdGenerator) -> None:
        self.others = others
        self.off = False
        self.generate_random_trace_id = others.generate_trace_id
        self.generate_random_span_id = others.generate_span_id

    def generate_trace_id(self) -> int:
        decided = decision.get()
        if decided is not None and not decided.taken:
            return decided.trace_id
        return 0 if self.off else self.generate_random_trace_id()

    def generate_span_id(self) -> int:
        decided = decision.get()
        # The span's id is asked for right after its sampling, and that only once.
        if decided is not None and decided.taken and decided.span_id is not None:
            span_id, decided.span_id = decided.span_id, None
            return span_id
        return self.generate_random_span_id()

    def is_trace_id_random(self) -> bool:
        # SDKs before 1.43 do not ask.
        is_random = getattr(self.others, "is_trace_id_random", None)
        return bool(is_random()) if is_random is not None else False


class TracebatonSampler(Sampler):
    """What has a parent does as the parent did; what has none follows the rules."""

    def __init__(self, table: Table) -> None:
        self.table = table

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
        parent = get_current_span(parent_context).get_span_context()
        if parent.is_valid:
            if parent.trace_flags.sampled:
                return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes, parent.trace_state)
            return SamplingResult(Decision.DROP, None, parent.trace_state)
        if kind is SpanKind.SERVER:
            endpoint, _ = self.table.request(*_request_of(name, attributes))
        else:
            endpoint = self.table.span(kind.name if kind is not None else "INTERNAL", name)
        threshold = endpoint.threshold(time.monotonic())
        if randomness_of(trace_id) < threshold:
            return SamplingResult(Decision.DROP)
        return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes, trace_state_for(threshold))

    def get_description(self) -> str:
        return f"tracebaton{{{', '.join(rule.text for rule in self.table.rules)}}}"


_states: dict[int, TraceState] = {}


def trace_state_for(threshold: int) -> TraceState:
    """`ot=th:...` for a root that was recorded with this threshold (see `threshold`)."""
    state = _states.get(threshold)
    if state is None:
        if len(_states) > 1000:  # thresholds come from rules and from halving; there are not that many
            _states.clear()
        state = _states[threshold] = TraceState([("ot", f"th:{th_value(threshold)}")])
    return state


def _request_of(name: str, attributes: Attributes) -> tuple[str, str]:
    """Method and path of a SERVER span, in either semantic convention; the name where it is no HTTP request."""
    found = attributes or {}
    method = found.get("http.request.method") or found.get("http.method") or ""
    path = found.get("url.path") or found.get("http.target") or f"/{name}"
    return str(method), str(path).partition("?")[0]


def make_sampler(argument: str | None) -> TracebatonSampler:
    """What the entry point `opentelemetry_traces_sampler` calls under another distro; wrong rules mean the default."""
    from tracebaton_configurator.sampling.rule_set import Table
    from tracebaton_configurator.sampling.rules import RuleError, effective_rules

    try:
        rules = effective_rules(argument)
    except RuleError as error:
        logging.getLogger("tracebaton").error(  # noqa: TRY400 (a sentence, no traceback)
            "OTEL_TRACES_SAMPLER_ARG: %s; the default rules apply.", error
        )
        rules = effective_rules(None)
    return TracebatonSampler(Table(rules))
