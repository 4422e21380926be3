"""Reads the trace headers of a request from the raw headers of an ASGI server, in one pass and without decoding.

It runs for every request, traced or not, and imports nothing of OpenTelemetry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tracebaton_configurator.propagation.w3c.traceparent import parse_traceparent

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class RemoteContext(NamedTuple):
    """What the caller sent. Without a valid `traceparent` both ids and the flags are 0 and `tracestate` is empty.

    `tracestate` and `baggage` are the values of these headers as they came, for `parse_tracestate` and
    `parse_baggage`, which are due only where somebody will read the result.
    """

    trace_id: int
    span_id: int
    flags: int
    tracestate: Sequence[bytes]
    baggage: Sequence[bytes]

    @property
    def has_parent(self) -> bool:
        return self.trace_id != 0


_NO_PARENT = (0, 0, 0)


def read_context(headers: Iterable[tuple[bytes, bytes]]) -> RemoteContext | None:
    """The caller's context in the headers of an ASGI scope; None where there is nothing of use. Never raises.

    Two traceparent headers are as good as none: nobody can tell which is right. Without a valid traceparent there is
    no tracestate either ("MUST NOT attempt to parse", Trace Context, section "Tracestate Header").
    """
    # Made when first needed: most requests carry none of the three.
    parents: list[bytes] | None = None
    states: list[bytes] | None = None
    baggage: list[bytes] | None = None
    try:
        for name, value in headers:
            # Lengths first: most headers are told apart without touching their bytes. Servers hand names over in lower
            # case; applications and tests that build a scope by hand need not.
            length = len(name)
            if length == 11:
                if name.lower() == b"traceparent":
                    parents = parents or []
                    parents.append(value)
            elif length == 10:
                if name.lower() == b"tracestate":
                    states = states or []
                    states.append(value)
            elif length == 7 and name.lower() == b"baggage":
                baggage = baggage or []
                baggage.append(value)
        if parents is None and baggage is None:
            return None
        parent = parse_traceparent(parents[0]) if parents is not None and len(parents) == 1 else None
    except Exception:  # noqa: BLE001 (a scope that is not ASGI is not a reason to fail its request)
        return None
    if parent is None:
        return None if baggage is None else RemoteContext(*_NO_PARENT, (), baggage)
    return RemoteContext(*parent, states or (), baggage or ())
