"""Who calls whom, how often and how fast: from the spans that cross processes."""

from __future__ import annotations

from typing import Any

__all__ = ["percentile", "services_of"]

_POINTS = 30  # of a sparkline
_KINDS = {"CONSUMER": "messaging", "PRODUCER": "messaging"}

Hop = tuple[int, str, str, str, str, str, str, str, int, int, int]
"""trace, span_id, parent, kind, service, route, peer, peer_kind, start_us, duration_us, error"""


class _Calls:
    __slots__ = ("durations", "errors", "kind", "starts")

    def __init__(self, kind: str = "") -> None:
        self.durations: list[int] = []
        self.starts: list[int] = []
        self.errors = 0
        self.kind = kind

    def add(self, hop: Hop) -> None:
        self.starts.append(hop[8])
        self.durations.append(hop[9])
        self.errors += hop[10]

    def numbers(self, count: str = "count") -> dict[str, Any]:
        ordered = sorted(self.durations)
        p50, p99 = percentile(ordered, 50), percentile(ordered, 99)
        return {count: len(ordered), "errors": self.errors, "p50_us": p50, "p99_us": p99}


def services_of(hops: list[Hop]) -> dict[str, Any]:
    """The answer of `/api/services`."""
    services: dict[str, _Calls] = {}
    endpoints: dict[tuple[str, str], _Calls] = {}
    edges: dict[tuple[str, str], _Calls] = {}
    outgoing = {(hop[0], hop[1]): hop for hop in hops if hop[3] in {"CLIENT", "PRODUCER"}}
    answered = set()
    for hop in hops:
        _, _, parent, kind, service, route, *_ = hop
        if kind not in {"SERVER", "CONSUMER"}:
            services.setdefault(service, _Calls())
            continue
        services.setdefault(service, _Calls()).add(hop)
        endpoints.setdefault((service, route), _Calls()).add(hop)
        call = outgoing.get((hop[0], parent))
        if call is not None:
            answered.add((hop[0], parent))
            edges.setdefault((call[4], service), _Calls(_KINDS.get(kind, "http"))).add(call)
    for key, call in outgoing.items():
        if key not in answered and call[6]:
            edges.setdefault((call[4], call[6]), _Calls(call[7])).add(call)
    first = min((hop[8] for hop in hops), default=0)
    width = max(1, -(-(max((hop[8] for hop in hops), default=0) - first + 1) // _POINTS))
    return {
        "services": [{"name": name, **calls.numbers("requests")} for name, calls in sorted(services.items())],
        "edges": [
            {"from": caller, "to": callee, **calls.numbers(), "kind": calls.kind}
            for (caller, callee), calls in sorted(edges.items())
        ],
        "endpoints": [
            {"service": service, "route": route, **calls.numbers(), **_sparklines(calls, first, width)}
            for (service, route), calls in sorted(endpoints.items(), key=lambda item: -len(item[1].durations))[:200]
        ],
    }


def percentile(ordered: list[int], percent: int) -> int:
    """The nearest rank; 0 of nothing."""
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)] if ordered else 0


def _sparklines(calls: _Calls, first: int, width: int) -> dict[str, list[int]]:
    points: list[list[int]] = [[] for _ in range(_POINTS)]
    for start, duration in zip(calls.starts, calls.durations, strict=True):
        points[min(_POINTS - 1, (start - first) // width)].append(duration)
    for point in points:
        point.sort()
    return {f"sparkline_p{percent}": [percentile(point, percent) for point in points] for percent in (50, 99)}
