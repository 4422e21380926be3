"""Questions that the tests ask of received spans."""

from __future__ import annotations

from typing import TYPE_CHECKING

from processes import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness import System

    from tracebaton.view.spans import Span


def wait_for_spans(system: System, enough: Callable[[Sequence[Span]], bool], seconds: float = 15) -> Sequence[Span]:
    """The spans received once there are `enough`; those there are after `seconds`, for the assertion to show."""
    wait_for(lambda: enough(system.spans()), seconds, 0.1)
    return system.spans()


def servers(spans: Sequence[Span], path: str | None = None) -> list[Span]:
    return [span for span in spans if span.kind == "SERVER" and (path is None or path_of(span) == path)]


def path_of(span: Span) -> str:
    return str(span.attributes.get("url.path") or span.attributes.get("http.target"))


def parent_of(span: Span, spans: Sequence[Span]) -> Span:
    (parent,) = [one for one in spans if (one.trace_id, one.span_id) == (span.trace_id, span.parent_span_id)]
    return parent
