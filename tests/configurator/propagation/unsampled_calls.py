"""What an unsampled request leaves of its calls, beside what a sampled one has of the same."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from opentelemetry import context as context_api
from opentelemetry.context import Context
from opentelemetry.trace import SpanContext, TraceFlags

from tracebaton_configurator.sampling.decision import RequestDecision, unsampled_context
from tracebaton_configurator.sampling.late_spans import REASON, LateSpans

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest
    from opentelemetry.sdk.trace import ReadableSpan

TRACE_ID, SPAN_ID = 0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331


class Unsampled:
    """A request that is not recorded, for the `with` block; `keep` ends it as one that failed."""

    def __init__(self, late_spans: LateSpans | None, *, excluded: bool = False) -> None:
        self.late_spans = late_spans
        self.decision = RequestDecision(Context(), recorded=False, trace_id=TRACE_ID, trace_state=None)
        self.decision.excluded = excluded
        if late_spans is not None:
            late_spans.watch(self.decision)

    @contextmanager
    def entered(self) -> Iterator[None]:
        span_context = SpanContext(TRACE_ID, SPAN_ID, is_remote=False, trace_flags=TraceFlags(0))
        token = context_api.attach(unsampled_context(self.decision, span_context))
        try:
            yield
        finally:
            context_api.detach(token)

    def end(self, *, failed: bool) -> None:
        self.decision.ended = True
        assert self.late_spans is not None
        self.late_spans.keep(self.decision, lambda reason: None, failed=failed, slow=False)


def described(span: ReadableSpan) -> Any:
    """What a span says of its call, less that it was kept; of an event everything but its time and the traceback."""
    scope = span.instrumentation_scope
    attributes = {key: value for key, value in (span.attributes or {}).items() if key != REASON}
    events = [
        (event.name, {key: value for key, value in (event.attributes or {}).items() if "stacktrace" not in key})
        for event in span.events
    ]
    status = (span.status.status_code, span.status.description)
    return span.name, span.kind, scope and (scope.name, scope.version), attributes, status, events


def with_conventions(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have instrumentations follow these from here on; upstream reads the variable once a process."""
    from opentelemetry.instrumentation._semconv import _OpenTelemetrySemanticConventionStability as Stability

    if value is None:
        monkeypatch.delenv("OTEL_SEMCONV_STABILITY_OPT_IN", raising=False)
    else:
        monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", value)
    monkeypatch.setattr(Stability, "_initialized", False)
    monkeypatch.setattr(Stability, "_OTEL_SEMCONV_STABILITY_SIGNAL_MAPPING", {})
