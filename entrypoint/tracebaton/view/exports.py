"""What both protocols do with a request whose head is complete."""

from __future__ import annotations

import asyncio
from contextlib import closing
from typing import TYPE_CHECKING, TypeAlias

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from tracebaton.view.bodies import Bodies, Body, read
from tracebaton.view.connections import Connections

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracebaton.view.access import Access
    from tracebaton.view.bodies import Receive
    from tracebaton.view.connections import Connection, Limits
    from tracebaton.view.intake import Intake
    from tracebaton.view.refusal import RefusedError

    Parse: TypeAlias = Callable[[bytearray], ExportTraceServiceRequest]

__all__ = ["Exports"]


class Exports:
    def __init__(self, intake: Intake, access: Access, limits: Limits) -> None:
        self.access = access
        self.limits = limits
        self.connections = Connections(limits)
        self._intake = intake
        self._bodies = Bodies(2 * limits.max_body)

    async def take(
        self, connection: Connection, receive: Receive, parse: Parse | None, refusal: RefusedError | None = None
    ) -> ExportTraceServiceResponse:
        """Queue the spans of a request; return its answer. Without `parse` its body is thrown away.

        Raises RefusedError, TimeoutError of asyncio for a body that does not arrive, and OSError where the client goes.
        """
        keeps = parse is not None and refusal is None
        rejected = 0
        with connection.request() as seconds, closing(Body(self._bodies, connection.abort)) as body:
            await asyncio.wait_for(read(receive, self.limits.max_body, body if keeps else None), seconds)
            if refusal is not None:
                raise refusal
            if parse is not None:
                connection.busy += 1
                try:
                    rejected = await self._intake.accept(lambda: parse(body.take()))
                finally:
                    connection.busy -= 1
        if not rejected:
            return ExportTraceServiceResponse()  # for every signal that is full success
        partial = ExportTracePartialSuccess(
            rejected_spans=rejected, error_message="trace or span ids of invalid length"
        )
        return ExportTraceServiceResponse(partial_success=partial)
