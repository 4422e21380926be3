"""tracebaton.view.payload"""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracebaton.view.payload import parse_json, parse_protobuf
from tracebaton.view.spans import decode

# The example of the OTLP specification's repository (examples/trace.json), shortened, in its spelling of the ids.
EXAMPLE: dict[str, Any] = {
    "resourceSpans": [
        {
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "my.service"}}]},
            "scopeSpans": [
                {
                    "scope": {"name": "my.library", "version": "1.0.0"},
                    "spans": [
                        {
                            "traceId": "5B8EFFF798038103D269B633813FC60C",
                            "spanId": "EEE19B7EC3C1B174",
                            "parentSpanId": "eee19b7ec3c1b173",
                            "name": "I'm a server span",
                            "startTimeUnixNano": "1544712660000000000",
                            "endTimeUnixNano": 1544712661000000000,
                            "kind": 2,
                            "status": {"code": 2, "message": "boom"},
                            "attributes": [{"key": "n", "value": {"intValue": "3"}}],
                            "links": [{"traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174"}],
                            "somethingNew": {"x": 1},
                        }
                    ],
                }
            ],
        }
    ]
}


class TestParseJson:
    def test_example(self) -> None:
        """Ids are hex in either case, 64-bit numbers strings or numbers, unknown fields ignored."""
        (span,), rejected = decode(parse_json(json.dumps(EXAMPLE).encode()))
        assert rejected == 0
        assert span.trace_id == "5b8efff798038103d269b633813fc60c"
        assert (span.span_id, span.parent_span_id) == ("eee19b7ec3c1b174", "eee19b7ec3c1b173")
        assert (span.service, span.kind, span.status, span.status_message) == ("my.service", "SERVER", "ERROR", "boom")
        assert (span.duration_ms, span.attributes) == (1000.0, {"n": 3})
        assert span.links[0].span_id == "eee19b7ec3c1b174"

    def test_field_names_of_the_proto_file(self) -> None:
        span = {"trace_id": "01" * 16, "span_id": "02" * 8}
        document = {"resource_spans": [{"scope_spans": [{"spans": [span]}]}]}
        (decoded,), _ = decode(parse_json(json.dumps(document).encode()))
        assert (decoded.trace_id, decoded.span_id) == ("01" * 16, "02" * 8)

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"[]",
            b"null",
            b"{",
            b"\xff\xfe\x00",
            b'{"resourceSpans": 1}',
            b'{"resourceSpans": [1]}',
            b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "no hex"}]}]}]}',
            b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "AB CD"}]}]}]}',
            b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"name": "\\ud800"}]}]}]}',
            b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"startTimeUnixNano": 1e400}]}]}]}',
            b'{"resourceSpans": ' + b"[" * 100_000,
        ],
    )
    def test_malformed(self, body: bytes) -> None:
        with pytest.raises(ValueError, match="not OTLP/JSON"):
            parse_json(body)

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: (
                st.lists(inner)
                | st.dictionaries(
                    st.sampled_from(["resourceSpans", "scopeSpans", "spans", "traceId", "links", "attributes", "kind"])
                    | st.text(),
                    inner,
                )
            ),
        )
    )
    def test_any_json(self, document: object) -> None:
        """Whatever the JSON, the outcome is a message that decodes or a ValueError."""
        with contextlib.suppress(ValueError):
            decode(parse_json(json.dumps(document).encode()))


class TestParseProtobuf:
    def test_malformed(self) -> None:
        with pytest.raises(ValueError, match="not an OTLP protobuf message"):
            parse_protobuf(b"\xff\xff\xff")

    @given(st.binary())
    def test_any_bytes(self, body: bytes) -> None:
        """Whatever the bytes, the outcome is a message that decodes or a ValueError."""
        with contextlib.suppress(ValueError):
            decode(parse_protobuf(body))
