"""Notes of the calls of an unsampled request: what becomes a span below the request's own if that one is kept.

A note is an OpenTelemetry span as far as whoever makes the call can tell: it has an id of its own, which goes out with
the call, and takes attributes, events and a status. But nothing is limited, locked or handed to a processor before it
is known whether anybody wants it, and then `make` has the SDK do all that with the times that were noted.
"""

from __future__ import annotations

from time import time_ns
from typing import TYPE_CHECKING, Any, Protocol

from opentelemetry.context import Context
from opentelemetry.sdk.trace import Span as SdkSpan
from opentelemetry.sdk.trace import Tracer
from opentelemetry.trace import NonRecordingSpan, Span, Status, StatusCode

from tracebaton_configurator.logs.diagnostics import report_error
from tracebaton_configurator.sampling.late_spans import REASON, sampled_context, start_late
from tracebaton_configurator.sampling.upstream import CURRENT_SPAN, local_span_context

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from opentelemetry.trace import Link, SpanContext, SpanKind
    from opentelemetry.util.types import Attributes, AttributeValue

    from tracebaton_configurator.sampling.decision import RequestDecision

# What a note may hold, as long as its request goes on: events, attributes of each and of the note, and of a text.
_MOST_EVENTS = 8
_MOST_ATTRIBUTES = 64
_LONGEST_TEXT = 4096
_STATUS_CODES = ("http.response.status_code", "http.status_code")


class CallNote(Span):
    """One call. Ended, it goes to the `late_spans` of its request's decision.

    * `complete`: called with the span, if there is to be one, instead of attributes that are worked out for each call;
    * `answer`: the HTTP status of the answer, 0 for none, and `version` that of HTTP as the client has it;
    * `ended`: in ns since the epoch, 0 before that.
    """

    __slots__ = (
        "_attributes",
        "_events",
        "_ids",
        "_links",
        "_parent",
        "_sampled",
        "_span_context",
        "_started",
        "_status",
        "_tracer",
        "answer",
        "complete",
        "ended",
        "kind",
        "name",
        "request",
        "version",
    )

    def __init__(
        self,
        tracer: Tracer,
        request: RequestDecision,
        parent: SpanContext,
        name: str,
        kind: SpanKind,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        start_time: int | None = None,
        *,
        sampled: bool = False,
    ) -> None:
        self.name = name
        self.kind = kind
        self.request = request
        self.complete: Callable[[Span, CallNote], object] | None = None
        self.answer = self.ended = 0
        self.version = b""
        self._tracer = tracer
        self._parent = parent
        self._attributes: dict[str, Any] | None = None
        self._events: list[tuple[str, Attributes, int | None]] | None = None
        self._links = links
        self._status: Status | None = None
        self._started = start_time or time_ns()
        self._ids: Any = tracer.id_generator  # AttributeError for a tracer that is not the SDK's
        self._sampled = sampled
        self._span_context: SpanContext | None = None
        if attributes:
            self.set_attributes(attributes)

    @property
    def failed(self) -> bool:
        """Whether the service that was called, or the way to it, is to blame: an answer of 4xx is the caller's."""
        answer = self.answer
        if self._attributes and not answer:
            answer = next((self._attributes[name] for name in _STATUS_CODES if name in self._attributes), 0)
        if isinstance(answer, int) and answer:
            return answer >= 500
        return self._status is not None and self._status.status_code is StatusCode.ERROR

    @property
    def attributes(self) -> Mapping[str, AttributeValue]:
        """As spans of the SDK have it."""
        return self._attributes or {}

    def get_span_context(self) -> SpanContext:
        """With an id that is drawn when somebody asks for the first time: a Redis command hands on none."""
        found = self._span_context
        if found is None:
            ids = self._ids
            span_id = getattr(ids, "generate_random_span_id", ids.generate_span_id)()
            parent = self._parent
            if self._sampled:
                found = sampled_context(parent, span_id)
            else:
                trace_id, _, _, flags, state, _ = parent
                found = local_span_context(trace_id, span_id, flags, state)
            self._span_context = found
        return found

    def is_recording(self) -> bool:
        return not self.ended

    def set_attribute(self, key: str, value: AttributeValue) -> None:
        found = self._attributes
        if found is None:
            found = self._attributes = {}
        if not self.ended and (len(found) < _MOST_ATTRIBUTES or key in found):
            found[key] = _short(value)

    def set_attributes(self, attributes: Mapping[str, AttributeValue]) -> None:
        for key, value in attributes.items():
            self.set_attribute(key, value)

    def add_event(self, name: str, attributes: Attributes = None, timestamp: int | None = None) -> None:
        if self._events is None:
            self._events = []
        if not self.ended and len(self._events) < _MOST_EVENTS:
            short = {key: _short(value) for key, value in list((attributes or {}).items())[:_MOST_ATTRIBUTES]}
            self._events.append((name, short, timestamp or time_ns()))

    def add_link(self, context: SpanContext, attributes: Attributes = None) -> None:
        """Links are for spans that begin something."""

    def begin(self) -> None:
        """It was made before the call, and begins now."""
        self._started = time_ns()

    def update_name(self, name: str) -> None:
        self.name = name

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        if self.ended or (self._status is not None and self._status.status_code is StatusCode.OK):
            return
        made = status if isinstance(status, Status) else Status(status, description)
        if made.status_code is not StatusCode.UNSET or self._status is None:
            self._status = made

    def record_exception(
        self,
        exception: BaseException,
        attributes: Attributes = None,
        timestamp: int | None = None,
        escaped: bool = False,  # noqa: FBT001, FBT002 (as OpenTelemetry has it)
    ) -> None:
        """At once, as the SDK does: an exception holds all that its frames have."""
        if not self.ended and len(self._events or ()) < _MOST_EVENTS:
            try:
                SdkSpan.record_exception(self, exception, attributes, timestamp, escaped)  # type: ignore[arg-type]
            except Exception as error:  # noqa: BLE001 (an exception without a text: see `described`)
                report_error("An exception could not be recorded", error)

    def end(self, end_time: int | None = None) -> None:
        if not self.ended:
            self.ended = end_time or time_ns()
            late_spans = self.request.late_spans
            if late_spans is not None:
                late_spans.take(self)

    def make(self, reason: str) -> None:
        """Have the SDK make the span, with the ids that the call went out with."""
        attributes = {**(self._attributes or {}), REASON: reason}
        parent = Context({CURRENT_SPAN: NonRecordingSpan(self._parent)})
        span = start_late(
            self.request,
            self.get_span_context(),
            lambda: Tracer.start_span(
                self._tracer, self.name, parent, self.kind, attributes, self._links, start_time=self._started
            ),
        )
        if self.complete is not None:
            self.complete(span, self)
        for event in self._events or ():
            span.add_event(*event)
        if self._status is not None:
            span.set_status(self._status)
        span.end(self.ended)


class Keepable(Protocol):
    """What becomes a span, or several, where the request is kept."""

    @property
    def failed(self) -> bool: ...

    def make(self, reason: str) -> object: ...


class Note(Keepable, Protocol):
    """A call that has ended, of this request."""

    @property
    def request(self) -> RequestDecision: ...


class Calls:
    """The calls of one request that have ended, as many as there is `room` for; `dropped` counts the others.

    For as long as it lives it refers to `live`, by whose references the living are counted.
    """

    __slots__ = ("_live", "_room", "dropped", "ended")

    def __init__(self, room: int, live: object) -> None:
        self.ended: list[Keepable] = []
        self.dropped = 0
        self._room = room
        self._live = live if room else None

    def add(self, note: Keepable) -> None:
        """A failed call takes the place of one that went well, never the other way round."""
        if len(self.ended) < self._room:
            self.ended.append(note)
            return
        self.dropped += 1
        if note.failed:
            for position, other in enumerate(self.ended):
                if not other.failed and not isinstance(other, _InnerWork):
                    self.ended[position] = note
                    return

    def add_work(self, make: Callable[[str], object], calls: Calls | None) -> None:
        """All of it or nothing: its calls would have no parent without it."""
        work = _InnerWork(make, calls)
        self.dropped += calls.dropped if calls is not None else 0
        if work.size > self._room - len(self.ended):
            self.dropped += work.size
            return
        self._room -= work.size - 1
        self.ended.append(work)


class _InnerWork:
    """A piece of work within a request, such as a tool that it calls, that has ended well, and its calls."""

    failed = False

    def __init__(self, make: Callable[[str], object], calls: Calls | None) -> None:
        self._make = make
        self.calls = calls
        self.size = 1 + (len(calls.ended) if calls is not None else 0)

    def make(self, reason: str) -> None:
        self._make(reason)
        for note in self.calls.ended if self.calls is not None else ():
            note.make(reason)


def _short(value: Any) -> Any:
    """Of a long text its end, where a traceback says what happened."""
    return value if not isinstance(value, str) or len(value) <= _LONGEST_TEXT else value[-_LONGEST_TEXT:]
