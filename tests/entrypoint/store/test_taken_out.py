"""A trace that is taken out as OTLP JSON and opened again is the trace that was received."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tracebaton.page.otlp import otlp_json
from tracebaton.store.documents import to_json
from tracebaton.store.lines import LogLine
from tracebaton.store.reader import StoreReader
from tracebaton.store.writer import StoreWriter
from tracebaton.view.log_records import decode_logs
from tracebaton.view.payload import parse_saved
from tracebaton.view.spans import Link, Span, SpanEvent, decode

TRACE = "0af7651916cd43dd8448eb211c80319c"
TIMES = st.integers(1, 2**63 - 1)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
IDS = st.integers(1, 2**64 - 1).map("{:016x}".format)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
ATTRIBUTES = st.dictionaries(TEXTS, VALUES, max_size=4)
LINKS = st.builds(Link, st.just(TRACE), IDS, TEXTS, ATTRIBUTES)
SPANS = st.builds(
    Span,
    trace_id=st.just(TRACE),
    span_id=IDS,
    parent_span_id=st.just("") | IDS,
    name=TEXTS,
    kind=st.sampled_from(["INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER", "UNSPECIFIED"]),
    start_ns=TIMES,
    end_ns=TIMES,
    service=st.just("agent-a"),
    status=st.sampled_from(["UNSET", "OK", "ERROR"]),
    status_message=TEXTS,
    attributes=ATTRIBUTES,
    resource=ATTRIBUTES.map(lambda found: {**found, "service.name": "agent-a"}),
    scope_name=TEXTS,
    scope_version=TEXTS,
    events=st.lists(st.builds(SpanEvent, TEXTS, TIMES, ATTRIBUTES), max_size=2).map(tuple),
    links=st.lists(LINKS, max_size=2).map(tuple),
    trace_state=TEXTS,
    flags=st.integers(0, 2**32 - 1),
    weight=st.just(0),
)


@settings(max_examples=60)
@given(st.lists(SPANS, min_size=1, max_size=3, unique_by=lambda span: span.span_id), TIMES, TEXTS)
def test_nothing_of_it_is_lost(spans: list[Span], moment: int, message: str) -> None:
    line = LogLine(TRACE, spans[0].span_id, moment, "agent-a", "ERROR", "app", message, "", {"turn": 2})
    with tempfile.TemporaryDirectory() as directory:
        path = str(Path(directory) / "db")
        writer = StoreWriter(path)
        writer.add_spans(spans)
        writer.add_lines([line])
        writer.close()
        reader = StoreReader(path)
        out = to_json(otlp_json(reader.trace(TRACE)))
        reader.close()
    request, logs = parse_saved(out.encode())
    again = [dataclasses.replace(span, weight=0) for span in decode(request)[0]]
    assert {span.span_id: span for span in again} == {span.span_id: span for span in spans}
    (logged,) = decode_logs(logs)
    assert (logged.time_ns, logged.message, logged.level, logged.span_id) == (moment, message, "ERROR", line.span_id)
