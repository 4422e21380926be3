"""Decides about a request from its method, its path and its trace context, before anything is built for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry import propagate
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, get_current_span

from tracebaton_configurator.logs.diagnostics import report_error
from tracebaton_configurator.logs.upstream import get_current
from tracebaton_configurator.propagation.w3c.headers import read_context
from tracebaton_configurator.propagation.w3c.propagator import with_baggage
from tracebaton_configurator.propagation.w3c.tracestate import parse_tracestate
from tracebaton_configurator.sampling.decision import RequestDecision
from tracebaton_configurator.sampling.root_sampler import EMPTY_STATE
from tracebaton_configurator.sampling.sampler import WhileOff, follow
from tracebaton_configurator.sampling.upstream import CURRENT_SPAN, local_span_context

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

    from tracebaton_configurator.propagation.trust import Trust
    from tracebaton_configurator.propagation.w3c.headers import RemoteContext
    from tracebaton_configurator.sampling.root_sampler import RootSampler
    from tracebaton_configurator.sampling.sampler import DecisionIdGenerator, TracebatonSampler

# Flags of a non-recording span context: never sampled; "random" says that the trace id's low 56 bits are (W3C level 2).
_NOT_SAMPLED = TraceFlags(0)
_NOT_SAMPLED_RANDOM = TraceFlags(2)


class FastPath:
    """One for the process; `decide` is called once a request, unless tracing is switched `off`.

    `off` and `bypassed` may change while requests are under way. `bypassed` lets upstream's middleware see every
    request, recorded or not, since metrics count them all. `serves` says whether there is an application to serve. The
    root sampler is the one that `sampler` has.
    """

    def __init__(self, sampler: TracebatonSampler, ids: DecisionIdGenerator, trust: Trust, *, w3c_only: bool) -> None:
        self.off = False
        self.bypassed = False
        self.serves = False
        self.on_first: Callable[[], object] | None = None
        """Called when the process turns out to serve."""
        self.trust = trust
        self.while_off = WhileOff(sampler)
        self._sampler = sampler
        self._w3c_only = w3c_only
        self._trace_id: Callable[[], int] = ids.generate_random_trace_id
        self.span_id: Callable[[], int] = ids.generate_random_span_id
        self._random = ids.is_trace_id_random()

    @property
    def root_sampler(self) -> RootSampler:
        """Who decides about requests without a parent."""
        return self._sampler.sampling[0]

    def is_of_others(self, options: dict[str, Any]) -> bool:
        """Whether upstream's middleware with these options makes spans, or counts, for a provider of others.

        Decisions made here are not meant for it.
        """
        tracer = options.get("tracer") or options.get("tracer_provider")
        meter = options.get("meter") or options.get("meter_provider")
        counts = type(meter).__module__.startswith("opentelemetry.sdk.") and not self.bypassed
        return counts or (tracer is not None and getattr(tracer, "sampler", None) is not self._sampler)

    def serve(self) -> None:
        """To be called when an application is about to serve."""
        self.serves = True
        if self.on_first is not None:
            self.on_first()

    def begin(
        self, scope: MutableMapping[str, Any], excluded: Callable[[Any], bool] | None = None
    ) -> RequestDecision | None:
        """Decide about the request of this ASGI scope. Never raises: None for one that cannot be understood."""
        try:
            # A WebSocket's handshake is a GET (RFC 6455, section 4.1).
            method = scope["method"] if scope["type"] == "http" else "GET"
            decision = self.decide(scope, method)
            decision.method, decision.path = method, scope["path"]
            if excluded is not None and excluded(scope):
                decision.exclude()
        except Exception as error:  # noqa: BLE001 (a scope that is not ASGI's; what it is is for the application to say)
            report_error("A request could not be parsed and is served untraced", error)
            return None
        return decision

    def learn(self, decision: RequestDecision, scope: MutableMapping[str, Any]) -> None:
        """Learn the route of a request that has been answered, where the decision asks for it. Never raises."""
        try:
            self.root_sampler.learn(decision.method, decision.path, scope)  # type: ignore[arg-type]
        except Exception as error:  # noqa: BLE001 (routes and the values in a path are the application's objects)
            report_error("The route of a request could not be determined", error)

    def decide(self, scope: MutableMapping[str, Any], method: str) -> RequestDecision:
        """Decide about the request of this ASGI scope. Raises nothing that the headers could bring about."""
        root_sampler, follows_parents = self._sampler.sampling
        base = get_current()
        parent: SpanContext | None = None
        if self._w3c_only:
            found = read_context(scope["headers"])
            if found is not None:
                if found.trace_id:
                    parent = _remote(found)
                if found.baggage:
                    base = with_baggage(base, found.baggage)
        else:
            base = self._extract(scope, base)
            extracted = get_current_span(base).get_span_context()
            parent = extracted if extracted.is_valid else None
            # Who finds a span in the context takes it for one of this process, and makes no SERVER span.
            base = Context({name: value for name, value in base.items() if name != CURRENT_SPAN})
        untrusted_parent = None
        if parent is not None and not self.trust.trusts(scope.get("client")):
            parent, untrusted_parent = None, parent
        if parent is not None and follows_parents:
            recorded, state = follow(parent)
            decision = RequestDecision(base, recorded=recorded, trace_id=parent.trace_id, trace_state=state)
            decision.parent = parent
            decision.random = bool(parent.trace_flags & 2)
            return decision
        trace_id = parent.trace_id if parent is not None else self._trace_id()
        trace_state, learn = root_sampler.request(method, scope["path"], trace_id, scope)
        recorded = trace_state is not None
        if parent is not None:  # the sampler does not follow it; its trace state goes on all the same
            trace_state = parent.trace_state
        decision = RequestDecision(base, recorded=recorded, trace_id=trace_id, trace_state=trace_state)
        decision.parent = parent
        decision.untrusted_parent = untrusted_parent
        decision.learn = learn
        decision.random = self._random if parent is None else bool(parent.trace_flags & 2)
        return decision

    @staticmethod
    def _extract(scope: MutableMapping[str, Any], base: Context) -> Context:
        """What the configured propagators read, for a system that propagates in another format than W3C's."""
        from tracebaton_configurator.asgi.upstream_asgi import asgi_getter

        try:
            return propagate.extract(dict(scope), context=base, getter=asgi_getter)
        except Exception:  # noqa: BLE001 (upstream's getter raises on some bytes that are not UTF-8)
            return base

    def non_recording_span_context(self, decision: RequestDecision) -> SpanContext:
        """The span context of a request that is not recorded: its own span id, the flag off."""
        flags = _NOT_SAMPLED_RANDOM if decision.random else _NOT_SAMPLED
        return local_span_context(decision.trace_id, self.span_id(), flags, decision.trace_state)


def parent_context(decision: RequestDecision) -> Context:
    """The context in which the span of a recorded request starts."""
    if decision.parent is None:
        return decision.base
    return Context({**decision.base, CURRENT_SPAN: NonRecordingSpan(decision.parent)})


def _remote(found: RemoteContext) -> SpanContext:
    """The caller's span context."""
    return SpanContext(
        found.trace_id,
        found.span_id,
        True,  # noqa: FBT003 (is_remote)
        TraceFlags(found.flags),
        parse_tracestate(found.tracestate) if found.tracestate else EMPTY_STATE,
    )
