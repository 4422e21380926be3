"""Work that arrives other than by HTTP: a job, a message, a call over a pipe. It has ids, a span and an outcome as a
request has.

    with Incoming("run send_mail", headers, attributes={...}) as work:
        ...

One decision holds, as for requests: that of its sender where the headers have a trace context, else that of the root
sampler. Work that is not recorded runs without instrumentation, hands its ids on all the same, and is kept where it
fails.
"""

from __future__ import annotations

from contextlib import suppress
from time import monotonic, monotonic_ns, time_ns
from typing import TYPE_CHECKING, Any

from opentelemetry import context as context_api
from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanKind, Status, StatusCode, get_current_span

from tracebaton_configurator.logs.diagnostics import described, report_error
from tracebaton_configurator.logs.ids import current_request, remember_ids
from tracebaton_configurator.sampling.decision import RequestDecision, unsampled_context
from tracebaton_configurator.sampling.late_spans import REASON, is_failure, start_late
from tracebaton_configurator.sampling.sampler import WhileOff
from tracebaton_configurator.sampling.upstream import CURRENT_SPAN, SUPPRESS_INSTRUMENTATION

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextvars import Token
    from types import TracebackType

    from opentelemetry.trace import Span, SpanContext, Tracer
    from opentelemetry.util.types import AttributeValue
    from typing_extensions import Self

    from tracebaton_configurator.propagation.trust import Trust
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


def trace_headers() -> dict[str, str]:
    """What the work that is going on hands to what it starts elsewhere; empty outside any. Never raises."""
    headers: dict[str, str] = {}
    with suppress(Exception):  # a context that nobody foresaw costs the trace, not the call
        propagate.inject(headers)
    return headers


class Incoming:
    """A context manager, for one use, in one thread or task; `attributes` may be changed until it ends.

    * `headers`: `traceparent` and so on, as its sender wrote them; what is invalid is ignored, as W3C says;
    * `links`: span contexts that the span links to; with `follows=False` the headers' is one of them, and no parent;
    * `client`: the sender's `(address, port)` where it is known. OTEL_TRACEBATON_TRUST_PARENT judges by that; a sender
      without one, who has written into the process's own pipe, queue or broker, is a stranger only where it is `false`.

    Nothing of its own raises; what is raised inside goes on as it is.
    """

    __slots__ = (
        "_base",
        "_began",
        "_client",
        "_follows",
        "_headers",
        "_links",
        "_request_token",
        "_started",
        "_token",
        "attributes",
        "decision",
        "kind",
        "name",
        "span",
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
    ) -> None:
        self.name = name
        self.kind = kind
        self.attributes: dict[str, AttributeValue] = dict(attributes or {})
        self._headers = headers
        self._links = list(links)
        self._follows = follows
        self._client = client
        self._base = Context()
        self._began = self._started = 0
        self._token: Token[Any] | None = None
        self._request_token: Token[Any] | None = None
        self.decision: RequestDecision | None = None
        self.span: Span = trace.INVALID_SPAN

    def __enter__(self) -> Self:
        if _in_use is not None:
            try:
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
            context_api.detach(token)
        if request_token is not None:
            self._request_token = None
            with suppress(ValueError):  # ended in another context than it was begun in
                current_request.reset(request_token)
        if decision is None or decision.ended:
            return
        try:
            decision.answered = decision.answered or monotonic()
            self._finish(decision)
        except Exception as problem:  # noqa: BLE001 (the work is over; it must not fail for its span)
            report_error("The span of a message could not be ended", problem)
        finally:
            decision.ended = True
            decision.error = None

    def _begin(self, tracer: Tracer, while_off: WhileOff, trust: Trust, _: LateSpans) -> None:
        if while_off:
            self._token = context_api.attach(Context({SUPPRESS_INSTRUMENTATION: while_off}))
            return
        found = context_of(self._headers)
        sender = get_current_span(found).get_span_context()
        self._base = found
        if sender.is_valid and not (self._follows and self._trusts(trust)):
            self._links.append(sender)
            self._base = Context({key: value for key, value in found.items() if key != CURRENT_SPAN})
        self._began, self._started = time_ns(), monotonic_ns()
        self.span = self._start(tracer)
        span_context = self.span.get_span_context()
        recorded = self.span.is_recording()
        decision = RequestDecision(
            Context({key: value for key, value in found.items() if key != CURRENT_SPAN}),
            recorded=recorded,
            trace_id=span_context.trace_id,
            trace_state=span_context.trace_state,
        )
        decision.span_context = span_context
        self.decision = decision
        self._request_token = current_request.set(decision)
        self._token = context_api.attach(
            Context({**self._base, CURRENT_SPAN: self.span}) if recorded else unsampled_context(decision, span_context)
        )

    def _trusts(self, trust: Trust) -> bool:
        return trust.trusts(self._client) if self._client is not None else trust.trusts_own()

    def _start(self, tracer: Tracer) -> Span:
        return tracer.start_span(
            self.name,
            context=self._base,
            kind=self.kind,
            attributes=self.attributes,
            links=[Link(one) for one in self._links],
            start_time=self._began,
        )

    def _finish(self, decision: RequestDecision) -> None:
        ended = self._began + monotonic_ns() - self._started
        if decision.recorded:
            self.span.set_attributes(self.attributes)
            self._end_span(self.span, decision, ended)
            return
        if _in_use is None or decision.span_context is None:
            return
        tracer, _, _, late_spans = _in_use
        span_context = decision.span_context

        def make(reason: str) -> None:
            self.attributes[REASON] = reason
            self._end_span(start_late(decision, span_context, lambda: self._start(tracer)), decision, ended)

        slow = self.kind is SpanKind.SERVER and late_spans.is_slow(self._began, ended)
        late_spans.keep(make, failed=decision.failed, slow=slow)

    @staticmethod
    def _end_span(span: Span, decision: RequestDecision, ended: int) -> None:
        error = decision.error
        if error is not None:
            span.record_exception(error, timestamp=ended)
            span.set_status(Status(StatusCode.ERROR, described(error)))
            span.set_attribute("error.type", type(error).__qualname__)
        elif decision.failed:
            span.set_status(Status(StatusCode.ERROR))
        span.end(ended)
