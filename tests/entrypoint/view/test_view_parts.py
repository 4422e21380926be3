"""tracebaton.view.parts"""

from __future__ import annotations

import contextlib
import json
import time

import pytest
from google.protobuf.message import DecodeError
from hostile import field, nested, request_of
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tracebaton.view.parts import TRACES, TooManyPartsError, check_json, check_protobuf


def accepts(body: bytes) -> bool:
    try:
        check_protobuf(body, TRACES)
    except ValueError:
        return False
    return True


def parses(body: bytes) -> bool:
    try:
        ExportTraceServiceRequest.FromString(body)
    except DecodeError:
        return False
    return True


class TestProtobuf:
    @given(st.binary(max_size=60))
    def test_what_protobuf_takes_is_taken(self, body: bytes) -> None:
        """The other way round protobuf has the last word."""
        assert accepts(body) or not parses(body)

    @given(st.recursive(st.binary(max_size=6), lambda inner: st.builds(field, st.integers(1, 15), inner), max_leaves=8))
    def test_of_fields_too(self, body: bytes) -> None:
        assert accepts(body) or not parses(body)

    @pytest.mark.parametrize("depth", [1, 20, 40, 47, 48, 49, 50, 100, 5000])
    def test_depth(self, depth: int) -> None:
        body = nested(depth)
        assert accepts(body) == parses(body)

    def test_a_group_hides_nothing(self) -> None:
        group = b"\x0b" + b"\x0a\x00" * 10 + b"\x0c"
        assert parses(group)
        assert accepts(group)
        with pytest.raises(TooManyPartsError):
            check_protobuf(group + b"\x0a\x00" * 2_000_000, TRACES)

    @pytest.mark.parametrize(
        "body",
        [
            b"\x0a\x00" * 2_000_000,
            field(1, b"\x12\x00" * 2_000_000),
            request_of(b"\x4a\x00" * 2_000_000),
            request_of(field(11, b"\x1a\x00" * 2_000_000)),
            request_of(field(9, field(2, field(6, b"\x0a\x00" * 2_000_000)))),
            field(1, field(1, field(3, b"\x1a\x00" * 2_000_000))),
            request_of(b"\x78\x00" * 2_000_000),
        ],
        ids=["resources", "scopes", "attributes", "of events", "maps", "entities", "unknown"],
    )
    def test_many_parts(self, body: bytes) -> None:
        begun = time.process_time()
        with pytest.raises(TooManyPartsError):
            check_protobuf(body, TRACES)
        assert time.process_time() - begun < 5

    def test_what_a_collector_sends(self) -> None:
        """8192 spans with twenty attributes each."""
        attributes = b"".join(field(9, field(1, b"http.k%d" % n) + field(2, field(1, b"v" * 20))) for n in range(20))
        span = field(1, b"t" * 16) + field(2, b"s" * 8) + field(5, b"GET /") + b"\x30\x02" + b"\x39" + bytes(8)
        check_protobuf(field(1, field(2, field(2, span + attributes) * 8192)), TRACES)


class TestJson:
    def test_many_parts(self) -> None:
        for part in (b"{},", b"[],", b"1,", b'"a":1,'):
            with pytest.raises(TooManyPartsError):
                check_json(part * 1_000_000)

    def test_what_a_client_sends(self) -> None:
        """512 spans with twenty attributes each, and a text of 4 MB."""
        attribute = {"key": "http.method", "value": {"stringValue": "GET"}}
        span = {"traceId": "1" * 32, "spanId": "1" * 16, "name": "GET /", "attributes": [attribute] * 20}
        long = {"key": "prompt", "value": {"stringValue": "once, upon a time " * 220_000}}
        check_json(json.dumps([span] * 512 + [long]).encode())


def test_random_bytes_raise_nothing_else() -> None:
    for body in (
        b"\x0a",
        b"\x0a\xff",
        b"\xff" * 20,
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\x0c",
        b"\x07",
    ):
        with contextlib.suppress(ValueError):
            check_protobuf(body, TRACES)
