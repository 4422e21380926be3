"""Who decides about what has no parent: one object for the fast path and for the SDK's sampler."""

from __future__ import annotations

import sys
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import Decision, ParentBased, SamplingResult
from opentelemetry.trace import SpanKind, TraceState

from tracebaton_configurator.sampling.threshold import RANDOMNESS, th_value

if TYPE_CHECKING:
    from collections.abc import MutableMapping, Sequence
    from types import FrameType

    from opentelemetry.sdk.trace.sampling import Sampler
    from opentelemetry.trace import Link
    from opentelemetry.util.types import Attributes

    from tracebaton_configurator.sampling.rate_counter import RateCounter
    from tracebaton_configurator.sampling.rule_set import RuleSet

EMPTY_STATE = TraceState()
_REDIS = ("redis", "valkey")
# From here to whoever begins the span: this package's and the SDK's, and a context manager's.
_FRAMES = 16


class RootSampler(Protocol):
    """Decides about requests, and about spans, that have no parent to follow."""

    def request(
        self, method: str, path: str, trace_id: int, scope: MutableMapping[str, Any] | None = None
    ) -> tuple[TraceState | None, bool]:
        """The trace state of a request that is to be recorded, None for one that is not; and whether to `learn`."""

    def learn(self, method: str, path: str, scope: dict[str, Any]) -> None: ...

    def span(
        self,
        context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None,
        attributes: Attributes,
        links: Sequence[Link] | None,
        trace_state: TraceState | None,
    ) -> SamplingResult:
        """As `Sampler.should_sample`."""

    def describe(self, *, follows_parents: bool) -> str: ...


class RuleRootSampler:
    """By the rules, whose set is replaced as a whole when they change."""

    def __init__(self, rule_set: RuleSet) -> None:
        self.rule_set = rule_set

    def request(
        self, method: str, path: str, trace_id: int, scope: MutableMapping[str, Any] | None = None
    ) -> tuple[TraceState | None, bool]:
        counter, unknown = self.rule_set.request(method, path, scope)
        return _decide(counter, trace_id), unknown

    def learn(self, method: str, path: str, scope: dict[str, Any]) -> None:
        self.rule_set.learn(method, path, scope)

    def span(
        self,
        context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None,
        attributes: Attributes,
        links: Sequence[Link] | None,
        trace_state: TraceState | None,
    ) -> SamplingResult:
        if kind is SpanKind.SERVER:
            method, path = _request_of(name, attributes)
            counter = self.rule_set.request(method, path)[0] if method else self.rule_set.call(path)
        else:
            kind_name = kind.name if kind is not None else "INTERNAL"
            counter = self.rule_set.span(kind_name, name, _url_of(attributes), lambda: _is_redis(attributes))
        state = _decide(counter, trace_id)
        if state is None:
            return SamplingResult(Decision.DROP)
        return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes, state)

    def describe(self, *, follows_parents: bool) -> str:
        return f"tracebaton{{{', '.join(rule.text for rule in self.rule_set.rules)}}}"


class SdkRootSampler:
    """By a sampler of the SDK's, or of an installed package."""

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler
        self.span = sampler.should_sample

    def request(
        self, method: str, path: str, trace_id: int, scope: MutableMapping[str, Any] | None = None
    ) -> tuple[TraceState | None, bool]:
        """The specification's samplers look at the trace id, and at nothing else of a root."""
        result = self._sampler.should_sample(Context(), trace_id, method)
        return (EMPTY_STATE if result.decision.is_sampled() else None), False  # type: ignore[no-untyped-call]

    def learn(self, method: str, path: str, scope: dict[str, Any]) -> None:
        """A root's route makes no difference here."""

    def describe(self, *, follows_parents: bool) -> str:
        """As the SDK describes its own."""
        return (ParentBased(self._sampler) if follows_parents else self._sampler).get_description()


_states: dict[int, TraceState] = {}


def _decide(counter: RateCounter, trace_id: int) -> TraceState | None:
    """`ot=th:...` for what is recorded (see `threshold`), None for what is not."""
    threshold = counter.threshold(monotonic())
    if trace_id & RANDOMNESS < threshold:
        return None
    state = _states.get(threshold)
    if state is None:
        if len(_states) > 1000:  # thresholds come from rules and from halving; there are not that many
            _states.clear()
        state = _states[threshold] = TraceState([("ot", f"th:{th_value(threshold)}")])
    return state


def _url_of(attributes: Attributes) -> str:
    """That of a call over HTTP, in either semantic convention; empty where it is none."""
    found = attributes or {}
    return str(found.get("url.full") or found.get("http.url") or "")


def _is_redis(attributes: Attributes) -> bool:
    """By its attributes, in either semantic convention, or because Redis' instrumentation begins it.

    That adds its attributes to a span that has begun and is recorded, which is too late here
    (opentelemetry-instrumentation-redis 0.63b0 to 0.66b2).
    """
    found = attributes or {}
    system = found.get("db.system.name") or found.get("db.system")
    if system is not None:
        return system in _REDIS
    frame: FrameType | None = sys._getframe()  # noqa: SLF001
    for _ in range(_FRAMES):
        if frame is None:
            break
        if frame.f_globals.get("__name__") == "opentelemetry.instrumentation.redis":
            return True
        frame = frame.f_back
    return False


def _request_of(name: str, attributes: Attributes) -> tuple[str, str]:
    """Method and path of a SERVER span, in either semantic convention; the name where it is no HTTP request."""
    found = attributes or {}
    method = found.get("http.request.method") or found.get("http.method") or ""
    path = found.get("url.path") or found.get("http.target") or f"/{name}"
    return str(method), str(path).partition("?")[0]
