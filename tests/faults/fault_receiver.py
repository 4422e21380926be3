"""An OTLP receiver that misbehaves on command and remembers everything it took.

with FaultyReceiver("grpc") as receiver:
    receiver.fault = GrpcStatus("UNAVAILABLE", retry_after=0.5)
    ...                                       # something exports to receiver.endpoint
    receiver.fault = Healthy()
    receiver.wait_until(lambda: len(receiver.spans()) == 20, 10)
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fault_front import HOST, Front
from fault_kinds import (
    Blackholed,
    CutRequest,
    CutResponse,
    Fault,
    Flapping,
    GrpcStatus,
    Hanging,
    Healthy,
    HttpStatus,
    Partial,
    Poison,
    Protocol,
    Refused,
    Slow,
    TooLarge,
)
from fault_servers import GrpcServer, HttpServer, Refusal
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from tracebaton.view.payload import parse_protobuf
from tracebaton.view.spans import Span, decode

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

_TRANSPORT = (Refused, Hanging, Blackholed, CutRequest)


@dataclass(frozen=True, slots=True)
class Received:
    """A span that was taken; `at` is `time.time()`, `request` the number of the request that brought it."""

    span: Span
    at: float
    request: int


@dataclass(frozen=True, slots=True)
class Request:
    """`outcome`: `ok`, `partial`, `cut`, `reset`, or the status that was answered, such as `UNAVAILABLE` or `503`."""

    number: int
    at: float
    outcome: str
    spans: int
    size: int
    """Bytes of the request before compression."""


class FaultyReceiver:
    """Listens on a free port of 127.0.0.1 from the beginning of the `with` block; every method is thread-safe.

    Faults of connections act on those that are open too; other faults on requests that arrive from then on.
    """

    def __init__(self, protocol: Protocol = "grpc") -> None:
        self.protocol = protocol
        self._changed = threading.Condition()
        self._fault: Fault = Healthy()
        self._times: int | None = None
        self._received: list[Received] = []
        self._requests: list[Request] = []
        self._seen: Counter[tuple[str, str]] = Counter()
        self._closed = False
        server = GrpcServer if protocol == "grpc" else HttpServer
        self._server: GrpcServer | HttpServer = server(self._export)
        self._front = Front(self._server.port)
        self.endpoint = f"http://{HOST}:{self._front.port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closed = True
        self.set_fault(Refused())
        self._front.close()
        self._server.close()

    @property
    def fault(self) -> Fault:
        return self._fault

    @fault.setter
    def fault(self, fault: Fault) -> None:
        self.set_fault(fault)

    def set_fault(self, fault: Fault, times: int | None = None) -> None:
        """Misbehave like this from now on; with `times`, only for so many requests (not for faults of connections)."""
        if times is not None and isinstance(fault, (*_TRANSPORT, Flapping)):
            raise TypeError(f"{fault} is about connections, which nobody counts")
        if isinstance(fault, (GrpcStatus, HttpStatus)) and isinstance(fault, GrpcStatus) != (self.protocol == "grpc"):
            raise TypeError(f"{fault} cannot be answered over {self.protocol}")
        with self._changed:
            self._fault, self._times = fault, times
            self._changed.notify_all()
            self._front.become(fault if isinstance(fault, _TRANSPORT) else Healthy())
        if isinstance(fault, Flapping):
            threading.Thread(target=self._flap, args=(fault,), name="fault-flap", daemon=True).start()

    def received(self) -> list[Received]:
        """Everything that was taken, in the order of arrival, duplicates included."""
        with self._changed:
            return list(self._received)

    def spans(self) -> list[Span]:
        """Each span that was taken, once, in the order of arrival."""
        return list({(one.span.trace_id, one.span.span_id): one.span for one in self.received()}.values())

    @property
    def accepted(self) -> int:
        """How many spans were taken, duplicates included."""
        return len(self.received())

    @property
    def duplicates(self) -> int:
        """How many of the spans that were taken had been taken before."""
        with self._changed:
            return sum(self._seen.values()) - len(self._seen)

    @property
    def requests(self) -> list[Request]:
        """Those that arrived completely."""
        with self._changed:
            return list(self._requests)

    @property
    def outcomes(self) -> Counter[str]:
        """How many requests had which outcome."""
        return Counter(request.outcome for request in self.requests)

    def wait_until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait for what a request or a new fault makes true; returns whether it is."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while not (true := condition()) and time.monotonic() < deadline:
                self._changed.wait(max(0.0, deadline - time.monotonic()))
        return true

    def _flap(self, fault: Flapping) -> None:
        down = True
        with self._changed:
            while self._fault is fault and not self._closed:
                self._front.become(Refused() if down else Healthy())
                down = not down
                self._changed.wait_for(lambda: self._fault is not fault, fault.seconds)

    def _export(self, body: bytes) -> ExportTraceServiceResponse | Refusal:
        with self._changed:
            fault = self._next_fault()
            if isinstance(fault, Slow):
                self._changed.wait_for(lambda: self._closed, fault.seconds)
            spans, _ = decode(parse_protobuf(body))
            refusal = _refusal(fault, len(body), self.protocol)
            poisoned = isinstance(fault, Poison) and any(span.name == fault.name for span in spans)
            if isinstance(fault, Poison) and poisoned and fault.status is not None:
                refusal = Refusal(fault.status, "a span was poison")
            outcome = "ok"
            response = ExportTraceServiceResponse()
            if refusal is not None:
                outcome, taken = str(refusal.status), []
            elif isinstance(fault, Partial):
                outcome, taken = "partial", spans[fault.rejected_spans :]
                response.partial_success.rejected_spans = len(spans) - len(taken)
                response.partial_success.error_message = fault.message
            elif poisoned:
                outcome, taken = "reset", []
                self._front.reset_all()
            else:
                taken = spans
            if isinstance(fault, CutResponse):
                outcome = "cut"
                self._front.cut_answers()
            number, now = len(self._requests), time.time()
            self._requests.append(Request(number, now, outcome, len(spans), len(body)))
            self._received += [Received(span, now, number) for span in taken]
            self._seen.update((span.trace_id, span.span_id) for span in taken)
            self._changed.notify_all()
            return response if refusal is None else refusal

    def _next_fault(self) -> Fault:
        fault = self._fault
        if self._times is not None:
            if self._times == 0:
                return Healthy()
            self._times -= 1
        return fault


def _refusal(fault: Fault, size: int, protocol: Protocol) -> Refusal | None:
    if isinstance(fault, GrpcStatus):
        return Refusal(fault.code, fault.message, None if fault.retry_after is None else float(fault.retry_after))
    if isinstance(fault, HttpStatus):
        return Refusal(fault.status, fault.message, fault.retry_after)
    if isinstance(fault, TooLarge) and size > fault.max_bytes:
        if protocol == "grpc":
            return Refusal(
                "RESOURCE_EXHAUSTED", f"grpc: received message larger than max ({size} vs. {fault.max_bytes})"
            )
        return Refusal(413, "http: request body too large")
    return None
