"""tracebaton.view.render"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tracebaton.view.render import render
from tracebaton.view.spans import SpanEvent
from tracebaton.view.store import Trace

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracebaton.view.spans import Span

    MakeSpan = Callable[..., Span]


def plain(*spans: Span, **options: Any) -> str:
    ascii_only = options.pop("ascii_only", False)
    return render(Trace(spans[0].trace_id, spans, **options), ascii_only=ascii_only).plain


class TestTree:
    def test_whole(self, make_span: MakeSpan) -> None:
        """A summary line, then a line a span, children under their parent in the order in which they started."""
        assert plain(
            make_span(4, parent=2, start_ns=2_500_000),
            make_span(3, parent=1, service="backend", status="OK"),
            make_span(2, parent=1, end_ns=4_250_000),
            make_span(1, end_ns=100_000_000),
        ) == (
            "trace 00000000000000000000000000000001  4 spans, 2 services, 99.0 ms\n"
            "└── agent-a  span 1  99.0 ms\n"
            "    ├── agent-a  span 2  2.2 ms\n"
            "    │   └── agent-a  span 4  2.5 ms\n"
            "    └── backend  span 3  1.0 ms  OK\n"
        )

    def test_ascii(self, make_span: MakeSpan) -> None:
        text = plain(make_span(1), make_span(2, 1), make_span(3, 2), make_span(4, 1), ascii_only=True)
        assert text.isascii()
        assert [line.partition("agent-a")[0] for line in text.splitlines()[1:]] == [
            "`-- ", "    |-- ", "    |   `-- ", "    `-- ",
        ]  # fmt: skip

    def test_one(self, make_span: MakeSpan) -> None:
        assert "  1 span, 1 service, 1.0 ms\n" in plain(make_span())

    def test_orphans(self, make_span: MakeSpan) -> None:
        lines = plain(make_span(1), make_span(5, parent=9)).splitlines()
        assert lines[2] == "└── agent-a  span 5  1.0 ms  (parent not received)"

    def test_late(self, make_span: MakeSpan) -> None:
        """A late addition says so, and that a parent was in the part before."""
        text = plain(make_span(2, parent=1), late=True, printed_parents=frozenset({f"{1:016x}"}))
        assert "(late addition" in text.splitlines()[0]
        assert text.splitlines()[1].endswith("(parent printed before)")

    def test_early_and_not_kept(self, make_span: MakeSpan) -> None:
        summary = plain(make_span(), early=True, not_kept=2).splitlines()[0]
        assert "printed early" in summary
        assert "2 more spans not kept" in summary

    def test_circles(self, make_span: MakeSpan) -> None:
        """Parents in a circle end, each span once."""
        text = plain(make_span(1, parent=1), make_span(2, parent=4), make_span(3, parent=2), make_span(4, parent=3))
        assert text.splitlines()[1:] == [
            "├── agent-a  span 1  1.0 ms  (its parents form a circle)",
            "└── agent-a  span 2  1.0 ms  (its parents form a circle)",
            "    └── agent-a  span 3  1.0 ms",
            "        └── agent-a  span 4  1.0 ms",
        ]

    def test_deep(self, make_span: MakeSpan) -> None:
        """A chain of 5000 is neither a recursion error nor megabytes of indentation."""
        text = plain(*(make_span(number, parent=number - 1) for number in range(1, 5001)))
        assert len(text) < 5000 * 300
        assert "(level 5000) agent-a  span 5000" in text

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(links=st.lists(st.tuples(st.integers(1, 8), st.integers(0, 9)), min_size=1, max_size=25))
    def test_every_span_once(self, make_span: MakeSpan, links: list[tuple[int, int]]) -> None:
        """Whatever the ids and parents, doubled or circular, every span has exactly one line."""
        spans = [
            make_span(span_id, parent, name=f"<{number}>", start_ns=number)
            for number, (span_id, parent) in enumerate(links)
        ]
        text = plain(*spans)
        assert len(text.splitlines()) == 1 + len(spans)
        assert all(text.count(f"<{number}>") == 1 for number in range(len(spans)))


class TestErrorMessage:
    EXCEPTION = SpanEvent("exception", 0, {"exception.type": "KeyError", "exception.message": "'x'"})

    @pytest.mark.parametrize(
        ("values", "shown"),
        [
            ({"status_message": "said", "events": (EXCEPTION,)}, "said"),
            ({"events": (EXCEPTION,), "attributes": {"error.type": "T"}}, "KeyError: 'x'"),
            ({"events": (SpanEvent("exception", 0, {"exception.type": "KeyError"}),)}, "KeyError"),
            ({"attributes": {"error.type": "timeout", "http.response.status_code": 504}}, "timeout"),
            ({"attributes": {"error.type": "503", "http.response.status_code": 503}}, "HTTP 503"),
            ({"attributes": {"http.status_code": 500}}, "HTTP 500"),
        ],
    )
    def test_sources(self, make_span: MakeSpan, values: dict[str, Any], shown: str) -> None:
        """Status message, else exception, else error.type, else HTTP status."""
        line = plain(make_span(status="ERROR", **values)).splitlines()[1]
        assert line == f"└── agent-a  span 1  1.0 ms  ERROR  {shown}"

    def test_none(self, make_span: MakeSpan) -> None:
        assert plain(make_span(status="ERROR")).endswith("ERROR\n")

    def test_red(self, make_span: MakeSpan) -> None:
        span = make_span(status="ERROR", status_message="boom")
        text = render(Trace(span.trace_id, (span,)))
        styled = {text.plain[part.start : part.end]: part.style for part in text.spans}
        assert styled["ERROR"] == "bold red"
        assert styled["  boom"] == "red"


@pytest.mark.parametrize("field", ["name", "service", "status_message"])
def test_foreign_text_is_not_obeyed(make_span: MakeSpan, field: str) -> None:
    """Escape sequences, line ends and direction marks are shown; markup and emoji codes stay as they are."""
    make = functools.partial(make_span, status="ERROR")
    text = plain(make(**{field: "a\x1b[31m\nb\r\u202ec\u2028[bold]d[/] :smile: é ✓"}))
    assert r"a\x1b[31m\nb\r\u202ec\u2028[bold]d[/] :smile: é ✓" in text
    assert len(text.splitlines()) == 2
