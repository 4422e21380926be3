"""An encoded batch of spans, and how one that is too large for its receiver is taken apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tracebaton_configurator.export.forks import importing

if TYPE_CHECKING:
    from tracebaton_configurator.export.spool import Entry


@dataclass(frozen=True, slots=True)
class Batch:
    """An encoded ExportTraceServiceRequest and the number of spans in it; `entry` where it came from the spool."""

    payload: bytes
    spans: int
    entry: Entry | None = None


def halves_of(batch: Batch) -> list[Batch]:
    """Two batches with half of the spans each; none where there is nothing to be split."""
    if batch.spans < 2:
        return []
    with importing():
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    halves = []
    for part in (slice(0, batch.spans // 2), slice(batch.spans // 2, None)):
        try:
            whole = ExportTraceServiceRequest.FromString(batch.payload)
        except Exception:  # noqa: BLE001 (protobuf's DecodeError: somebody else's file in the spool)
            return []
        wanted = range(batch.spans)[part]
        number = 0
        for resource in whole.resource_spans:
            for scope in resource.scope_spans:
                numbers = range(number, number + len(scope.spans))
                number += len(scope.spans)
                kept = [span for at, span in zip(numbers, scope.spans, strict=True) if at in wanted]
                del scope.spans[:]
                scope.spans.extend(kept)
        halves.append(Batch(whole.SerializeToString(), len(wanted)))
    return halves
