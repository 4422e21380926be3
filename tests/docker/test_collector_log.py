"""The reader of the Collector's output, on a piece of it."""

from __future__ import annotations

from collector_log import read_spans

OUTPUT = """\
2026-11-22T21:26:06.930Z\tinfo\tservice@v0.160.0/service.go:284\tEverything is ready.
Traces\t{"resource spans": 1, "spans": 2}
ResourceSpans #0
Resource SchemaURL:
Resource attributes:
     -> process.pid: Int(1)
     -> service.name: Str(agent-b)
ScopeSpans #0
ScopeSpans SchemaURL: https://opentelemetry.io/schemas/1.11.0
InstrumentationScope opentelemetry.instrumentation.fastapi 0.66b2
Span #0
    Trace ID       : 4b418e6f0dd3a98c2460acefb4094b78
    Parent ID      :<a blank>
    ID             : 327110a7432f494f
    TraceState     : ot=th:8
    Name           : POST /agents/{name}/chat
    Kind           : Server
    Start time     : 2026-11-22 21:21:38.36348 +0000 UTC
    End time       : 2026-11-22 21:21:39 +0000 UTC
    Status code    : Error
    Status message : ModelError: no answer
Attributes:
     -> http.target: Str(/agents/a:b/chat)
     -> http.status_code: Int(500)
Events:
SpanEvent #0
     -> Name: exception
     -> Timestamp: 2026-11-22 21:21:38.9 +0000 UTC
     -> DroppedAttributesCount: 0
     -> Attributes::
          -> exception.stacktrace: Str(Traceback (most recent call last):
  File "main.py", line 1
)
Span #1
    Trace ID       : 4b418e6f0dd3a98c2460acefb4094b78
    Parent ID      : 327110a7432f494f
    ID             : 1f1ec0e70d6f4005
    Name           : INCRBY
    Kind           : Client
""".replace("<a blank>", " ")


def test_spans_have_what_the_collector_wrote() -> None:
    first, second = read_spans(OUTPUT)
    assert (first.trace_id, first.span_id, first.parent_span_id) == (second.trace_id, second.parent_span_id, "")
    assert (first.name, first.kind, first.status, first.service) == (
        "POST /agents/{name}/chat",
        "SERVER",
        "ERROR",
        "agent-b",
    )
    assert first.attributes == {"http.target": "/agents/a:b/chat", "http.status_code": 500}
    assert first.end_ns - first.start_ns == 636_520_000
    assert first.trace_state == "ot=th:8"
    assert [event.name for event in first.events] == ["exception"]
    assert first.scope_name == "opentelemetry.instrumentation.fastapi"
    assert (second.name, second.service, second.attributes) == ("INCRBY", "agent-b", {})


def test_nothing_is_no_span() -> None:
    assert read_spans("") == []
