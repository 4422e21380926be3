"""One trace as a tree, a span a line."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rich.text import Text

from tracebaton.store.targets import target
from tracebaton_configurator.logs.printable import escaped_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tracebaton.view.spans import Span
    from tracebaton.view.store import Trace

__all__ = ["render", "render_lines"]

# A span deeper than this is not indented further: a chain of 10 000 would fill the screen with guides, and memory too.
_MAX_INDENT = 40

# Of a name or a message: whoever sends megabytes does not mean them to be read here.
_MAX_SHOWN = 10_000

_STATUS_STYLES = {"OK": "green", "ERROR": "bold red"}


class _Guides(NamedTuple):
    fork: str
    last: str
    down: str
    space: str


_UNICODE = _Guides("├── ", "└── ", "│   ", "    ")
_ASCII = _Guides("|-- ", "`-- ", "|   ", "    ")


def render(trace: Trace, *, ascii_only: bool = False) -> Text:
    """Return the trace as styled text, each line ended; `.plain` is the same without styles.

    The first line is the summary, then comes a line for each span: service, span name or where a call went, duration,
    a status that is set, and for an error its message. What a span brings along is shown as text: control characters
    are escaped.
    """
    return Text().join(render_lines(trace, ascii_only=ascii_only))


def render_lines(trace: Trace, *, ascii_only: bool = False) -> Iterator[Text]:
    """As `render`, a line at a time: all of a large trace would take memory several times over."""
    yield _summary(trace)
    for row in _rows(trace, _ASCII if ascii_only else _UNICODE):
        text = Text()
        text.append(row.guides, style="dim")
        _append_span(text, row)
        yield text


class _Row(NamedTuple):
    span: Span
    guides: str
    depth: int
    mark: str


def _summary(trace: Trace) -> Text:
    spans = trace.spans
    services = len({span.service for span in spans})
    total_ms = (max(span.end_ns for span in spans) - min(span.start_ns for span in spans)) / 1e6
    text = Text("trace ")
    text.append(trace.trace_id, style="bold")
    text.append(f"  {_count(len(spans), 'span')}, {_count(services, 'service')}, {total_ms:.1f} ms")
    if trace.late:
        text.append("  (late addition: the rest of this trace was printed before)", style="yellow")
    if trace.early:
        text.append("  (printed early, to make room for newer traces)", style="yellow")
    if trace.not_kept:
        text.append(f"  ({_count(trace.not_kept, 'more span')} not kept)", style="yellow")
    return text.append("\n")


def _append_span(text: Text, row: _Row) -> None:
    span = row.span
    if row.depth > _MAX_INDENT:
        text.append(f"(level {row.depth}) ", style="dim")
    text.append(_escape(span.service), style="cyan")
    # Of a call the name is often just its method.
    text.append(f"  {_escape(target(span) or span.name)}  ")
    text.append(f"{span.duration_ms:.1f} ms", style="dim")
    if span.status != "UNSET":  # which is how a span that went well usually ends
        text.append(f"  {span.status}", style=_STATUS_STYLES[span.status])
    if span.status == "ERROR" and (message := _error_message(span)):
        text.append(f"  {_escape(message)}", style="red")
    if row.mark:
        text.append(f"  ({row.mark})", style="yellow")
    text.append("\n")


def _rows(trace: Trace, guides: _Guides) -> Iterator[_Row]:
    """Depth first, children by start time; on a stack of its own, since a trace may be deeper than Python recurses."""
    ordered = sorted(trace.spans, key=lambda span: (span.start_ns, span.span_id))
    present = {span.span_id for span in ordered}
    children: dict[str, list[Span]] = {}
    roots: list[tuple[Span, str]] = []
    for span in ordered:
        if span.parent_span_id in present:
            children.setdefault(span.parent_span_id, []).append(span)
        else:
            roots.append((span, _why_at_root(span, trace)))
    roots.extend(_one_of_each_cycle(ordered, [span for span, _ in roots], children))

    stack = [
        _Row(span, guides.last if span is roots[-1][0] else guides.fork, 1, mark) for span, mark in reversed(roots)
    ]
    expanded: set[str] = set()
    shown: set[int] = set()
    while stack:
        row = stack.pop()
        shown.add(id(row.span))
        yield row
        if row.span.span_id in expanded:
            continue  # where two spans bear the same id, the first takes the children
        expanded.add(row.span.span_id)
        # A child that is already shown is the span at which its circle was entered.
        offspring = [child for child in children.get(row.span.span_id, ()) if id(child) not in shown]
        below = row.guides[:-4]
        if row.depth < _MAX_INDENT:
            below += guides.space if row.guides.endswith(guides.last) else guides.down
        stack += [
            _Row(child, below + (guides.last if child is offspring[-1] else guides.fork), row.depth + 1, "")
            for child in reversed(offspring)
        ]


def _one_of_each_cycle(
    ordered: list[Span], roots: list[Span], children: dict[str, list[Span]]
) -> Iterator[tuple[Span, str]]:
    """Yield, for spans that no root leads to because their parents form a circle, the earliest of each circle."""
    reached: set[str] = set()

    def reach(start: Span) -> None:
        stack = [start.span_id]
        while stack:
            span_id = stack.pop()
            if span_id not in reached:
                reached.add(span_id)
                stack += [child.span_id for child in children.get(span_id, ())]

    for root in roots:
        reach(root)
    for span in ordered:
        if span.span_id not in reached:
            yield span, "its parents form a circle"
            reach(span)


def _why_at_root(span: Span, trace: Trace) -> str:
    if not span.parent_span_id:
        return ""
    return "parent printed before" if span.parent_span_id in trace.printed_parents else "parent not received"


def _error_message(span: Span) -> str:
    """The most telling of what semantic conventions offer for an error; '' when there is nothing."""
    if span.status_message:
        return span.status_message
    for event in reversed(span.events):
        if event.name == "exception":
            parts = (event.attributes.get("exception.type"), event.attributes.get("exception.message"))
            if told := ": ".join(str(part) for part in parts if part):
                return told
    http_status = span.attributes.get("http.response.status_code", span.attributes.get("http.status_code"))
    error_type = span.attributes.get("error.type")
    # For HTTP, error.type may be the status code, which alone reads like a riddle.
    if error_type and str(error_type) != str(http_status):
        return str(error_type)
    return f"HTTP {http_status}" if http_status else ""


def _escape(text: str) -> str:
    if len(text) > _MAX_SHOWN:
        return f"{_escape(text[:_MAX_SHOWN])}... ({_count(len(text) - _MAX_SHOWN, 'more character')})"
    return escaped_text(text)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
