"""A receiver that counts the spans that arrive and forgets them: OTLP over gRPC and HTTP, and Datadog's agent API.

python sink.py GRPC_PORT HTTP_PORT; `GET /counts` on the HTTP port answers
{"service": {"spans": 12, "server": 4, "secret": 0}}.
"""

from __future__ import annotations

import gzip
import json
import re
import signal
import sys
import threading
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

HOST = "127.0.0.1"
OTLP_PATHS = ("/v1/traces", "/v1/metrics", "/v1/logs")
OTLP_SERVICE = "opentelemetry.proto.collector.trace.v1.TraceService"
SECRET = "sesame-4711"
"""What a request may have in its URL, to see whether it is exported."""
SERVER_KIND = 2  # SpanKind.SPAN_KIND_SERVER of OTLP
# ddtrace sends unsampled traces to its agent as well. Sampled ones carry a priority of 1 or 2, which MessagePack
# writes in one byte, or as a 64-bit float.
DATADOG_SAMPLED = re.compile(rb"_sampling_priority_v1(?:[\x01\x02]|\xcb[\x3f\x40][\xf0\x00]\x00{6})")
DATADOG_SERVICE = re.compile(rb"\xa7service(?:[\xa0-\xbf]|\xd9.)([\w.-]+)", re.DOTALL)
# What ddtrace asks its agent on start; the answer is that of a recent one, as far as traces go.
DATADOG_INFO = {
    "version": "7.71.0",
    "endpoints": ["/v0.3/traces", "/v0.4/traces", "/v0.5/traces", "/v0.6/stats"],
    "client_drop_p0s": True,
}


class Counts:
    """How many spans of which service have arrived, how many SERVER spans, and how often `SECRET` was in them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, dict[str, int]] = defaultdict(lambda: {"spans": 0, "server": 0, "secret": 0})

    def add(self, service: str, spans: int, server: int, secret: int) -> None:
        with self._lock:
            counts = self._counts[service]
            counts["spans"] += spans
            counts["server"] += server
            counts["secret"] += secret

    def add_otlp(self, request: ExportTraceServiceRequest) -> None:
        for resource in request.resource_spans:
            attributes = {item.key: item.value.string_value for item in resource.resource.attributes}
            spans = [span for scope in resource.scope_spans for span in scope.spans]
            server = sum(span.kind == SERVER_KIND for span in spans)
            secret = resource.SerializeToString().count(SECRET.encode())
            self.add(attributes.get("service.name", "?"), len(spans), server, secret)

    def as_json(self) -> bytes:
        with self._lock:
            return json.dumps(self._counts).encode()


def main(grpc_port: int, http_port: int) -> None:
    counts = Counts()
    otlp = start_otlp(counts, grpc_port)
    http = ThreadingHTTPServer((HOST, http_port), _handler(counts))
    http.daemon_threads = True
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=http.shutdown).start())
    http.serve_forever()
    otlp.stop(grace=None)


def start_otlp(counts: Counts, port: int) -> grpc.Server:
    """Serve OTLP's one method without generated stubs, which would import the whole SDK's worth of modules."""

    def export(request: ExportTraceServiceRequest, _: grpc.ServicerContext) -> ExportTraceServiceResponse:
        counts.add_otlp(request)
        return ExportTraceServiceResponse()

    method = grpc.unary_unary_rpc_method_handler(
        export,
        request_deserializer=ExportTraceServiceRequest.FromString,
        response_serializer=ExportTraceServiceResponse.SerializeToString,
    )
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(OTLP_SERVICE, {"Export": method}),))
    server.add_insecure_port(f"{HOST}:{port}")
    server.start()
    return server


def _handler(counts: Counts) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path == "/counts":
                self._answer(counts.as_json())
            else:
                self._answer(json.dumps(DATADOG_INFO).encode())

        def do_POST(self) -> None:
            body = self._body()
            if self.path in OTLP_PATHS:
                if self.path == OTLP_PATHS[0]:
                    plain = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
                    counts.add_otlp(ExportTraceServiceRequest.FromString(plain))
                self._answer(b"", "application/x-protobuf")
                return
            if "/traces" in self.path:
                service = DATADOG_SERVICE.search(body)
                name = service[1].decode() if service else "?"
                sampled = len(DATADOG_SAMPLED.findall(body))
                counts.add(name, body.count(b"\xa7span_id"), sampled, body.count(SECRET.encode()))
            self._answer(b'{"rate_by_service":{}}')

        do_PUT = do_POST  # noqa: N815 - the name that http.server looks for

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            chunks = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                chunks.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(chunks)

        def _answer(self, body: bytes, kind: str = "application/json") -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
