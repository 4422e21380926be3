"""Work that arrives other than by HTTP: a job, a message, a call over a pipe. It has ids, a span and an outcome as a
request has.

    with Incoming("run send_mail", headers, attributes={...}) as work:
        ...

One decision holds as long as nothing fails: that of its sender where the headers have a trace context, else the root
sampler. Work that is not recorded runs without instrumentation, hands its ids on all the same, and is kept where it
fails.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from time import monotonic, monotonic_ns, time_ns
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry import context as context_api
from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanKind,
    Status,
    StatusCode,
    get_current_span,
    set_span_in_context,
)

from tracebaton_configurator.logs.diagnostics import report_error
from tracebaton_configurator.logs.ids import current_request, remember_ids
from tracebaton_configurator.logs.upstream import NAMES_OF_API, RUNTIME, follow_runtime, followed
from tracebaton_configurator.sampling.decision import UNSAMPLED, RequestDecision, notes_calls, unsampled_context
from tracebaton_configurator.sampling.late_spans import REASON, is_failure, note_error, sampled_context, start_late
from tracebaton_configurator.sampling.sampler import Untraced, WhileOff
from tracebaton_configurator.sampling.upstream import CURRENT_SPAN, SUPPRESS_INSTRUMENTATION

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextvars import Token
    from types import TracebackType

    from opentelemetry.trace import Span, SpanContext, Tracer
    from opentelemetry.util.types import AttributeValue
    from typing_extensions import Self

    from tracebaton_configurator.logs.ids import OwnRequest
    from tracebaton_configurator.propagation.trust import Trust
    from tracebaton_configurator.sampling.call_notes import Calls
    from tracebaton_configurator.sampling.late_spans import LateSpans
    from tracebaton_configurator.sampling.sampler import TracebatonSampler

_NO_HEADERS: Mapping[str, str] = {}
_in_use: tuple[Tracer, WhileOff, Trust, LateSpans] | None = None


def use(tracer: Tracer, sampler: TracebatonSampler, trust: Trust, late_spans: LateSpans) -> None:
    """To be called once tracing is up: before that, work runs as it would without."""
    global _in_use  # noqa: PLW0603 (what the process has)
    _in_use = tracer, WhileOff(sampler), trust, late_spans


def context_of(headers: Mapping[str, str] | None) -> Context:
    """What the headers say, by the propagators of this process, upon an empty context. Never raises."""
    try:
        return propagate.extract(headers or _NO_HEADERS, Context())
    except Exception:  # noqa: BLE001 (no mapping of strings: as good as none)
        return Context()


def tracer() -> Tracer | None:
    """The project's own, once tracing is up."""
    return _in_use[0] if _in_use is not None else None


def trace_headers() -> dict[str, str]:
    """What the work that is going on hands to what it starts elsewhere; empty outside any. Never raises."""
    headers: dict[str, str] = {}
    with suppress(Exception):  # a context that nobody foresaw costs the trace, not the call
        propagate.inject(headers, _sampled_after_failure())
    return headers


def _sampled_after_failure() -> Context | None:
    """The current context where it is to be handed on as sampled, although it is not; else None."""
    context = context_api.get_current()
    request = notes_calls(context)
    if request is None or request.late_spans is None or not request.late_spans.goes_on_sampled(request):
        return None
    return set_span_in_context(NonRecordingSpan(sampled_context(get_current_span(context).get_span_context())), context)


def is_off() -> bool:
    """Whether an operator has switched tracing off."""
    return _in_use is not None and bool(_in_use[1])


class Surroundings(NamedTuple):
    """What a message was sent in, or came in by: a request, if any, and its OpenTelemetry context."""

    request: OwnRequest | None
    context: Context

    @classmethod
    def current(cls) -> Surroundings:
        """Those of this task or thread."""
        return cls(current_request.get(), context_api.get_current())

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Run what is inside as if it were there."""
        request, token = current_request.set(self.request), context_api.attach(self.context)
        try:
            yield
        finally:
            context_api.detach(token)
            with suppress(ValueError):  # a generator of the application's that another task ends
                current_request.reset(request)


NOWHERE = Surroundings(None, Context())
"""Where what belongs to nobody runs."""


class Incoming:
    """A context manager, for one use, in one thread or task; `attributes` may be changed until it ends.

    * `headers`: `traceparent` and so on, as its sender wrote them; what is invalid is ignored, as W3C says;
    * `links`: span contexts that the span links to; with `follows=False` the headers' is one of them, and no parent;
    * `client`: the sender's `(address, port)` where it is known. OTEL_TRACEBATON_TRUST_PARENT judges by that; a sender
      without one, who has written into the process's own pipe, queue or broker, is a stranger only where it is `false`;
    * `within`: the request that it came by. It is a part of that, unless the headers name another trace, and a failure
      is that request's, too. For as long as the request is being answered it is INTERNAL: one request, one SERVER span;
    * `spanless`: somebody else makes the span; what is recorded, and what has no parent, only runs where it belongs.

    Nothing of its own raises; what is raised inside goes on as it is.
    """

    __slots__ = (
        "_base",
        "_began",
        "_client",
        "_context",
        "_ended",
        "_follows",
        "_headers",
        "_links",
        "_outer",
        "_request_token",
        "_spanless",
        "_started",
        "_token",
        "_untraced",
        "_within",
        "attributes",
        "decision",
        "kind",
        "name",
        "span",
        "until",
    )

    def __init__(
        self,
        name: str,
        headers: Mapping[str, str] | None = None,
        *,
        kind: SpanKind = SpanKind.CONSUMER,
        attributes: Mapping[str, AttributeValue] | None = None,
        links: Sequence[SpanContext] = (),
        follows: bool = True,
        client: Sequence[object] | None = None,
        within: Surroundings | None = None,
        spanless: bool = False,
    ) -> None:
        self.name = name
        self.kind = kind
        self.attributes: dict[str, AttributeValue] = dict(attributes or {})
        self._headers = headers
        self._links = list(links)
        self._follows = follows
        self._client = client
        self._within = within
        self._spanless = spanless
        self._outer: RequestDecision | None = None
        self._untraced: Untraced | None = None
        self._base = Context()
        self._began = self._started = self._ended = 0
        self._context: Context | None = None
        self._token: Token[Any] | None = None
        self._request_token: Token[Any] | None = None
        self.decision: RequestDecision | None = None
        self.span: Span = trace.INVALID_SPAN
        self.until = 0
        """When it was done with, in nanoseconds of the monotonic clock, where that is not its end."""

    def __enter__(self) -> Self:
        if _in_use is not None:
            try:
                if NAMES_OF_API.get(RUNTIME) is not followed[0]:
                    follow_runtime()
                self._begin(*_in_use)
            except Exception as error:  # noqa: BLE001 (the work is done all the same)
                report_error("The span of a message could not be made", error)
        return self

    def __exit__(
        self, _: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end(error)

    def fail(self, error: BaseException | None = None) -> None:
        """Note that it has failed, with `error`, where nothing is raised through this."""
        decision = self.decision
        if decision is None or decision.ended or (error is not None and not is_failure(error)):
            return
        decision.failed = True
        if isinstance(error, Exception):
            decision.error = error

    def keep_in_context(self) -> Context | None:
        """Have it go on in its context, which is returned, until whoever has begun it leaves that by other means."""
        self._token = self._request_token = None
        return self._context

    def discard(self) -> None:
        """Leave no span: nothing was done after all. It is to be left as ever."""
        if self.decision is not None:
            self.decision.ended = True

    def end(self, error: BaseException | None = None) -> None:
        """As leaving it does; a second call does nothing."""
        decision, token, request_token = self.decision, self._token, self._request_token
        if error is not None:
            remember_ids(error)
            self.fail(error)
        if token is not None:
            self._token = None
            with suppress(ValueError):  # as below; OpenTelemetry's own `detach` would log it
                token.var.reset(token)
        if request_token is not None:
            self._request_token = None
            with suppress(ValueError):  # ended in another context than it was begun in
                current_request.reset(request_token)
        if self._untraced is not None:
            self._untraced.ended = True
        if decision is None or decision.ended:
            return
        try:
            outer = self._outer
            if outer is not None and not outer.ended:
                if decision.failed:
                    outer.failed, outer.error = True, outer.error or decision.error
                outer.call_failed = outer.call_failed or decision.call_failed
                decision.admitted = outer.admitted if decision.admitted is None else decision.admitted
            decision.answered = decision.answered or monotonic()
            calls = decision.calls
            self._finish(decision)
            if not decision.kept:
                self._hand_out(decision, calls)
            if outer is not None and outer.admitted is None:
                outer.admitted = decision.admitted  # both are kept, or neither
        except Exception as problem:  # noqa: BLE001 (the work is over; it must not fail for its span)
            report_error("The span of a message could not be ended", problem)
        finally:
            decision.ended = True
            decision.error = decision.calls = None

    def _begin(self, tracer: Tracer, while_off: WhileOff, trust: Trust, late_spans: LateSpans) -> None:
        if while_off:
            self._untraced = Untraced(while_off)
            self._context = Context({SUPPRESS_INSTRUMENTATION: self._untraced})
            self._token = context_api.attach(self._context)
            return
        self._base, request = self._place(trust)
        # The task's own request may be one that it was started by, long ago.
        self._request_token = current_request.set(request)
        parent = get_current_span(self._base).get_span_context()
        if (self._spanless and (parent.trace_flags.sampled or not parent.is_valid)) or _is_excluded(self._base):
            self._context = self._base
            self._token = context_api.attach(self._base)
            return
        self._began, self._started = time_ns(), monotonic_ns()
        # An INTERNAL one that is not recorded has the span id of its parent; this one may be kept.
        unsampled = self.kind is SpanKind.INTERNAL and parent.is_valid and not parent.trace_flags.sampled
        self.span = self._start(tracer, SpanKind.SERVER if unsampled else self.kind)
        span_context = self.span.get_span_context()
        recorded = self.span.is_recording()
        decision = RequestDecision(
            _without_span(self._base),
            recorded=recorded,
            trace_id=span_context.trace_id,
            trace_state=span_context.trace_state,
        )
        decision.span_context = span_context
        self.decision = decision
        if not recorded:
            late_spans.watch(decision)
            if self._outer is not None and not self._outer.ended:
                decision.admitted = self._outer.admitted
                decision.call_failed = self._outer.failed or self._outer.call_failed  # what follows goes out sampled
        current_request.set(decision)
        self._context = (
            Context({**self._base, CURRENT_SPAN: self.span}) if recorded else unsampled_context(decision, span_context)
        )
        self._token = context_api.attach(self._context)

    def _place(self, trust: Trust) -> tuple[Context, OwnRequest | None]:
        """What it is a part of: a context whose span is the parent, and the request that this is of."""
        found = context_of(self._headers)
        sender = get_current_span(found).get_span_context()
        follows = sender.is_valid and self._follows and self._trusts(trust)
        within = self._within
        own = get_current_span(within.context).get_span_context() if within is not None else trace.INVALID_SPAN_CONTEXT
        if within is not None and own.is_valid:
            outer = within.context.get(UNSAMPLED)
            self._outer = outer if isinstance(outer, RequestDecision) else None
            under_way = within.request is None or not within.request.answered
            if not follows or (under_way and sender.trace_id == own.trace_id):
                if sender.is_valid and sender.trace_id != own.trace_id:
                    self._links.append(sender)
                if under_way and self.kind is SpanKind.SERVER:
                    self.kind = SpanKind.INTERNAL
                baggage = _without_span(found) if follows else {}
                return Context({**baggage, **within.context}), within.request
            if sender.trace_id != own.trace_id:
                self._links.append(own)
        if sender.is_valid and not follows:
            self._links.append(sender)
            found = _without_span(found)
        return found, None

    def _trusts(self, trust: Trust) -> bool:
        return trust.trusts(self._client) if self._client is not None else trust.trusts_own()

    def _start(self, tracer: Tracer, kind: SpanKind) -> Span:
        # Below an unsampled request, too, it has an id of its own, as it may be kept.
        return tracer.start_span(
            self.name,
            context=Context({key: value for key, value in self._base.items() if key != UNSAMPLED}),
            kind=kind,
            attributes=self.attributes,
            links=[Link(one) for one in self._links],
            start_time=self._began,
        )

    def _finish(self, decision: RequestDecision) -> None:
        self._ended = self._began + (self.until or monotonic_ns()) - self._started
        if decision.recorded:
            self.span.set_attributes(self.attributes)
            self._end_span(self.span, decision)
        elif _in_use is not None:
            late_spans = _in_use[3]
            slow = self.kind is SpanKind.SERVER and late_spans.is_slow(self._began, self._ended)
            late_spans.keep(decision, self._make_late, failed=decision.failed, slow=slow)

    def _make_late(self, reason: str) -> None:
        decision = self.decision
        if _in_use is None or decision is None or decision.span_context is None:
            return
        tracer = _in_use[0]
        self.attributes[REASON] = reason
        self._end_span(start_late(decision, decision.span_context, lambda: self._start(tracer, self.kind)), decision)

    def _hand_out(self, decision: RequestDecision, calls: Calls | None) -> None:
        """What went well is a part of the request that it came by, should that fail yet."""
        outer = self._outer
        if decision.recorded or outer is None or outer.late_spans is None or outer.trace_id != decision.trace_id:
            return
        outer.late_spans.take_work(outer, self._make_late, calls)

    def _end_span(self, span: Span, decision: RequestDecision) -> None:
        ended = self._ended
        error = decision.error
        if error is not None:
            note_error(span, error, ended)
            if "error.type" not in self.attributes:
                span.set_attribute("error.type", type(error).__qualname__)
        elif decision.failed:
            span.set_status(Status(StatusCode.ERROR))
        span.end(ended)


def _without_span(context: Context) -> Context:
    return Context({key: value for key, value in context.items() if key != CURRENT_SPAN})


def _is_excluded(context: Context) -> bool:
    """Whether it is that of a request which is not to be traced whatever happens."""
    decision = context.get(UNSAMPLED)
    return isinstance(decision, RequestDecision) and decision.excluded
