"""What both protocols do with a request whose head is complete."""

from __future__ import annotations

import asyncio
from contextlib import closing
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeAlias

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from tracebaton.view.connections import Connections, ReceivedRequest
from tracebaton.view.refusal import RefusedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

    from tracebaton.view.access import Access
    from tracebaton.view.connections import ClientConnection, Limits
    from tracebaton.view.intake import Intake

    Receive: TypeAlias = Callable[[], Awaitable[Any]]
    """As of ASGI (https://asgi.readthedocs.io/en/latest/specs/www.html#request-receive-event)."""
    Parse: TypeAlias = Callable[[bytearray], ExportTraceServiceRequest]
    ParseLogs: TypeAlias = Callable[[bytearray], ExportLogsServiceRequest]

__all__ = ["Exports", "read"]

# Of a body that is too large, for the sake of the answer; what is longer is cut off.
_MOST_DISCARDED = 128 * 1024 * 1024


class Exports:
    def __init__(self, intake: Intake, access: Access, limits: Limits) -> None:
        self.access = access
        self.limits = limits
        self.connections = Connections(limits)
        self._intake = intake

    @property
    def takes_logs(self) -> bool:
        return self._intake.take_lines is not None

    async def take(
        self,
        connection: ClientConnection,
        receive: Receive,
        parse: Parse | None,
        refusal: RefusedError | None = None,
        parse_logs: ParseLogs | None = None,
    ) -> ExportTraceServiceResponse:
        """Queue the spans of a request, or hand on its log records; return its answer.

        Without `parse` and `parse_logs` its body is thrown away.

        Raises RefusedError, TimeoutError of asyncio for a body that does not arrive, and OSError where the client goes.
        """
        rejected = 0
        with closing(ReceivedRequest(connection)) as request:
            keeps = (parse is not None or parse_logs is not None) and refusal is None
            await asyncio.wait_for(read(receive, request, self.limits.max_body, keeps=keeps), request.seconds)
            if refusal is not None:
                raise refusal
            if parse is not None:
                rejected = await self._intake.accept(lambda: parse(request.take()))
            elif parse_logs is not None:
                await self._intake.accept_logs(lambda: parse_logs(request.take()))
        if not rejected:
            return ExportTraceServiceResponse()  # for every signal that is full success
        partial = ExportTracePartialSuccess(
            rejected_spans=rejected, error_message="trace or span ids of invalid length"
        )
        return ExportTraceServiceResponse(partial_success=partial)


async def read(receive: Receive, request: ReceivedRequest, limit: int, *, keeps: bool) -> None:
    """Read a body, to keep at most `limit` bytes or nothing. Raises RefusedError and OSError.

    What is refused is read to its end and thrown away first: a client of HTTP listens only once it has sent all.
    """
    size, more = 0, True
    refusal: RefusedError | None = None
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionResetError("the client went away in the middle of the body")
        piece, more = message.get("body", b""), message.get("more_body", False)
        size += len(piece)
        if size > limit + _MOST_DISCARDED:
            raise ConnectionAbortedError("the body has no end")
        if refusal is not None or not keeps:
            continue
        try:
            if size > limit:
                raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is larger than {limit} bytes")
            await request.add(piece)
        except RefusedError as error:
            refusal = error
            request.drop()
    if refusal is not None:
        raise refusal
    request.complete = True
