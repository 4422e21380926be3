"""What arrives is counted by service: OTLP's protobuf and Datadog's MessagePack."""

from __future__ import annotations

import gzip
import json
import struct
import threading
from http.server import ThreadingHTTPServer

import grpc
import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from processes import HOST, Port
from sink import DATADOG_SAMPLED, DATADOG_SERVICE, SECRET, SERVER_KIND, Counts, _handler, start_otlp


def test_server_spans_are_counted_on_their_own() -> None:
    counts = Counts()
    counts.add("a", spans=3, server=1, secret=0)
    counts.add("a", spans=3, server=1, secret=1)
    counts.add("b", spans=1, server=0, secret=0)
    assert json.loads(counts.as_json()) == {
        "a": {"spans": 6, "server": 2, "secret": 1},
        "b": {"spans": 1, "server": 0, "secret": 0},
    }


def test_otlp_is_received_over_grpc() -> None:
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "agent"
    spans = resource.scope_spans.add().spans
    spans.add(kind=SERVER_KIND).attributes.add(key="http.target").value.string_value = f"/hello?token={SECRET}"
    spans.add(kind=1)
    counts, port = Counts(), Port()
    server = start_otlp(counts, port.number)
    try:
        with grpc.insecure_channel(f"{HOST}:{port.number}") as channel:
            export = channel.unary_unary(
                "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
                request_serializer=ExportTraceServiceRequest.SerializeToString,
                response_deserializer=ExportTraceServiceResponse.FromString,
            )
            export(request, timeout=10, wait_for_ready=True)
    finally:
        server.stop(grace=None).wait(10)
        port.release()
    assert json.loads(counts.as_json()) == {"agent": {"spans": 2, "server": 1, "secret": 1}}


@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_otlp_is_received_over_http(encoding: str) -> None:
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "agent"
    resource.scope_spans.add().spans.add(kind=SERVER_KIND)
    body = request.SerializeToString()
    counts = Counts()
    server = ThreadingHTTPServer((HOST, 0), _handler(counts))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://{HOST}:{server.server_port}"
        sent = gzip.compress(body) if encoding else body
        headers = {"Content-Encoding": encoding} if encoding else {}
        assert httpx.post(f"{url}/v1/traces", content=sent, headers=headers).status_code == 200
        assert httpx.post(f"{url}/v1/metrics", content=b"anything").status_code == 200
    finally:
        server.shutdown()
        server.server_close()
    assert json.loads(counts.as_json()) == {"agent": {"spans": 1, "server": 1, "secret": 0}}


@pytest.mark.parametrize(
    ("priority", "sampled"),
    [
        (b"\x01", 1),
        (b"\x02", 1),
        (b"\xcb" + struct.pack(">d", 1.0), 1),
        (b"\xcb" + struct.pack(">d", 2.0), 1),
        (b"\x00", 0),
        (b"\xff", 0),
        (b"\xcb" + struct.pack(">d", -1.0), 0),
        (b"\xcb" + struct.pack(">d", 0.0), 0),
    ],
)
def test_a_datadog_trace_is_sampled_by_its_priority(priority: bytes, sampled: int) -> None:
    body = b"\x83\xa7service\xa3foo\xb5_sampling_priority_v1" + priority + b"\xa7span_id\x05"
    assert len(DATADOG_SAMPLED.findall(body)) == sampled


@pytest.mark.parametrize("name", ["foo", "ddtrace-10.hello", "a-name-that-is-longer-than-31-bytes.routes-500"])
def test_a_datadog_service_is_read_up_to_the_next_key(name: str) -> None:
    size = bytes([0xA0 | len(name)]) if len(name) < 32 else b"\xd9" + bytes([len(name)])
    found = DATADOG_SERVICE.search(b"\x94\x92\x8a\xa7service" + size + name.encode() + b"\xa4name\xaffastapi.request")
    assert found is not None
    assert found[1].decode() == name
