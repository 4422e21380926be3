"""Decides about a request from its method, its path and its trace context, before anything is built for it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol

from opentelemetry import context as context_api
from opentelemetry import propagate
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState, get_current_span

from tracebaton_configurator.asgi.guard import report
from tracebaton_configurator.asgi.upstream import CURRENT_SPAN
from tracebaton_configurator.propagation.w3c.headers import read_context
from tracebaton_configurator.propagation.w3c.propagator import with_baggage
from tracebaton_configurator.propagation.w3c.tracestate import parse_tracestate
from tracebaton_configurator.sampling.sampler import trace_state_for
from tracebaton_configurator.sampling.threshold import randomness_of

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

    from opentelemetry.sdk.trace.sampling import Sampler

    from tracebaton_configurator.propagation.trust import Trust
    from tracebaton_configurator.propagation.w3c.headers import RemoteContext
    from tracebaton_configurator.sampling.rule_set import Table
    from tracebaton_configurator.sampling.sampler import DecidedIds

# Flags of an identity: never sampled; "random" says that the trace id's low 56 bits are (W3C level 2).
_NOT_SAMPLED = TraceFlags(0)
_NOT_SAMPLED_RANDOM = TraceFlags(2)
_EMPTY_STATE = TraceState()


class Roots(Protocol):
    """Decides about requests that have no parent to follow."""

    def decide(self, method: str, path: str, trace_id: int) -> tuple[TraceState | None, bool]:
        """The trace state of a request that is to be recorded, None for one that is not; and whether to `learn`."""

    def learn(self, method: str, path: str, scope: dict[str, Any]) -> None: ...


class RuleRoots:
    """Roots by the rules. `table` is replaced as a whole when the rules change, so a request sees one or the other."""

    def __init__(self, table: Table) -> None:
        self.table = table

    def decide(self, method: str, path: str, trace_id: int) -> tuple[TraceState | None, bool]:
        endpoint, unknown = self.table.request(method, path)
        threshold = endpoint.threshold(time.monotonic())
        if randomness_of(trace_id) < threshold:
            return None, unknown
        return trace_state_for(threshold), unknown

    def learn(self, method: str, path: str, scope: dict[str, Any]) -> None:
        self.table.learn(method, path, scope)


class StandardRoots:
    """Roots by one of the specification's samplers, which look at the trace id and nothing else of a root."""

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler

    def decide(self, method: str, _: str, trace_id: int) -> tuple[TraceState | None, bool]:
        result = self._sampler.should_sample(Context(), trace_id, method)
        return (_EMPTY_STATE if result.decision.is_sampled() else None), False

    def learn(self, method: str, path: str, scope: dict[str, Any]) -> None:
        """A root's route makes no difference here."""


class Start:
    """What was decided about one request.

    * `recorded`: whether it gets a span;
    * `trace_id`, and `trace_state` of the new span or identity;
    * `parent`: the span context to continue, None for a root;
    * `claimed`: that of a caller who is not trusted, to link to;
    * `base`: the OpenTelemetry context that the request starts in: baggage and no span;
    * `learn`: whether the table wants to know its route;
    * `excluded`: whether it is to leave no span whatever happens;
    * `method` and `path` by which it was decided.
    """

    __slots__ = (
        "base",
        "claimed",
        "excluded",
        "learn",
        "method",
        "parent",
        "path",
        "random",
        "recorded",
        "trace_id",
        "trace_state",
    )

    def __init__(self, base: Context, *, recorded: bool, trace_id: int, trace_state: TraceState | None) -> None:
        self.base = base
        self.recorded = recorded
        self.trace_id = trace_id
        self.trace_state = trace_state
        self.parent: SpanContext | None = None
        self.claimed: SpanContext | None = None
        self.excluded = False
        self.learn = False
        self.random = False
        self.method = self.path = ""

    def exclude(self) -> None:
        """Take the decision back: this request is not to be traced."""
        self.recorded = False
        self.excluded = True
        self.trace_state = self.parent.trace_state if self.parent is not None else None


class Engine:
    """One for the process; `start` is called once a request, unless tracing is switched `off`.

    `off`, `aside` and `sampling` may change while requests are under way. `aside` lets upstream's middleware see every
    request, recorded or not, since metrics count them all. `sampling` says who decides about roots, and whether what
    has a parent does as the parent did; one object, so that a request sees one pair or the other.
    """

    def __init__(
        self,
        roots: Roots,
        ids: DecidedIds,
        trust: Trust,
        *,
        follows_parents: bool,
        w3c_only: bool,
    ) -> None:
        self.off = False
        self.aside = False
        self.on_first: Callable[[], object] | None = None
        """Called when the process turns out to serve."""
        self.sampling: tuple[Roots, bool] = roots, follows_parents
        self.trust = trust
        self._w3c_only = w3c_only
        self._trace_id: Callable[[], int] = ids.generate_random_trace_id
        self.span_id: Callable[[], int] = ids.generate_random_span_id
        self._random = ids.is_trace_id_random()

    @property
    def roots(self) -> Roots:
        """Who decides about roots."""
        return self.sampling[0]

    def serve(self) -> None:
        """To be called when an application is about to serve."""
        if self.on_first is not None:
            self.on_first()

    def begin(self, scope: MutableMapping[str, Any], excluded: Callable[[Any], bool] | None = None) -> Start | None:
        """Decide about the request of this ASGI scope. Never raises: None for one that cannot be understood."""
        try:
            # A WebSocket's handshake is a GET (RFC 6455, section 4.1).
            method = scope["method"] if scope["type"] == "http" else "GET"
            start = self.start(scope, method)
            start.method, start.path = method, scope["path"]
            if excluded is not None and excluded(scope):
                start.exclude()
        except Exception as error:  # noqa: BLE001 (a scope that is not ASGI's; what it is is for the application to say)
            report("A request cannot be understood and is served untraced", error)
            return None
        return start

    def learn(self, start: Start, scope: MutableMapping[str, Any]) -> None:
        """Learn the route of a request that has been answered. Never raises."""
        if start.learn:
            try:
                self.roots.learn(start.method, start.path, scope)  # type: ignore[arg-type]
            except Exception as error:  # noqa: BLE001 (routes and the values in a path are the application's objects)
                report("The route of a request could not be learnt", error)

    def start(self, scope: MutableMapping[str, Any], method: str) -> Start:
        """Decide about the request of this ASGI scope. Raises nothing that the headers could bring about."""
        roots, follows_parents = self.sampling
        base = context_api.get_current()
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
        claimed = None
        if parent is not None and not self.trust.trusts(scope.get("client")):
            parent, claimed = None, parent
        if parent is not None and follows_parents:
            start = Start(
                base,
                recorded=parent.trace_flags.sampled,
                trace_id=parent.trace_id,
                trace_state=parent.trace_state,
            )
            start.parent = parent
            start.random = bool(parent.trace_flags & 2)
            return start
        trace_id = parent.trace_id if parent is not None else self._trace_id()
        trace_state, learn = roots.decide(method, scope["path"], trace_id)
        recorded = trace_state is not None
        if parent is not None:  # the sampler does not follow it; its trace state goes on all the same
            trace_state = parent.trace_state
        start = Start(base, recorded=recorded, trace_id=trace_id, trace_state=trace_state)
        start.parent = parent
        start.claimed = claimed
        start.learn = learn
        start.random = self._random if parent is None else bool(parent.trace_flags & 2)
        return start

    @staticmethod
    def _extract(scope: MutableMapping[str, Any], base: Context) -> Context:
        """What the configured propagators read, for a system that propagates in another format than W3C's."""
        from tracebaton_configurator.asgi.upstream_asgi import asgi_getter

        try:
            return propagate.extract(dict(scope), context=base, getter=asgi_getter)
        except Exception:  # noqa: BLE001 (upstream's getter raises on some bytes that are not UTF-8)
            return base

    def identity(self, start: Start) -> SpanContext:
        """The span context of a request that is not recorded: its own span id, the flag off."""
        return SpanContext(
            start.trace_id,
            self.span_id(),
            False,  # noqa: FBT003 (is_remote, by position: this is built for every request)
            _NOT_SAMPLED_RANDOM if start.random else _NOT_SAMPLED,
            start.trace_state,
        )


def parent_context(start: Start) -> Context:
    """The context in which the span of a recorded request starts."""
    if start.parent is None:
        return start.base
    return Context({**start.base, CURRENT_SPAN: NonRecordingSpan(start.parent)})


def _remote(found: RemoteContext) -> SpanContext:
    """The caller's span context."""
    return SpanContext(
        found.trace_id,
        found.span_id,
        True,  # noqa: FBT003 (is_remote)
        TraceFlags(found.flags),
        parse_tracestate(found.tracestate) if found.tracestate else _EMPTY_STATE,
    )
