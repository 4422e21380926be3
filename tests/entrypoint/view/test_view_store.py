"""tracebaton.view.store"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracebaton.view import store as store_module
from tracebaton.view.store import Trace, TraceStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracebaton.view.spans import Span

    MakeSpan = Callable[..., Span]


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make_store(clock: Clock) -> Callable[..., TraceStore]:
    return lambda **options: TraceStore(**{"quiet_after": 2.0, "clock": clock, **options})


def ids(trace: Trace) -> list[int]:
    return [int(span.span_id, 16) for span in trace.spans]


def traces(released: list[Trace]) -> list[int]:
    return [int(trace.trace_id, 16) for trace in released]


class TestQuiet:
    def test_released_once_after_its_last_span(
        self, make_store: Callable[..., TraceStore], clock: Clock, make_span: MakeSpan
    ) -> None:
        """Each span of a trace starts the wait anew; a released trace is gone."""
        store = make_store()
        store.add([make_span(1)])
        clock.now += 1.9
        store.add([make_span(2, parent=1)])
        clock.now += 1.9
        assert store.pop_quiet() == []
        assert store.seconds_until_quiet() == pytest.approx(0.1)
        clock.now += 0.1
        (trace,) = store.pop_quiet()
        assert ids(trace) == [1, 2]
        assert (trace.late, trace.early, trace.not_kept) == (False, False, 0)
        assert store.pop_quiet() == []
        assert store.seconds_until_quiet() is None

    def test_missing_parent_waits_longer(
        self, make_store: Callable[..., TraceStore], clock: Clock, make_span: MakeSpan
    ) -> None:
        """A trace with a hole waits beyond the five seconds in which other services export; filled, it does not."""
        store = make_store()
        store.add([make_span(2, parent=1), make_span(4, parent=3, trace=2)])
        clock.now += 5.9
        assert store.pop_quiet() == []
        store.add([make_span(1)])
        clock.now += 0.1
        assert traces(store.pop_quiet()) == [2]
        clock.now += 1.9
        assert traces(store.pop_quiet()) == [1]

    def test_traces_are_apart(self, make_store: Callable[..., TraceStore], clock: Clock, make_span: MakeSpan) -> None:
        store = make_store()
        store.add([make_span(1)])
        clock.now += 1
        store.add([make_span(1, trace=2)])
        clock.now += 1
        assert traces(store.pop_quiet()) == [1]
        assert traces(store.pop_all()) == [2]


class TestBounds:
    def test_oldest_leaves_early(self, make_store: Callable[..., TraceStore], make_span: MakeSpan) -> None:
        store = make_store(max_traces=2)
        assert store.add([make_span(trace=1), make_span(trace=2)]) == []
        (evicted,) = store.add([make_span(trace=3)])
        assert traces([evicted]) == [1]
        assert evicted.early
        assert len(store) == 2

    def test_spans_in_a_trace(self, make_store: Callable[..., TraceStore], clock: Clock, make_span: MakeSpan) -> None:
        """What is beyond the bound is counted, and does not put off the printing."""
        store = make_store(max_spans_per_trace=3)
        store.add(make_span(number) for number in range(1, 6))
        clock.now += 1.9
        store.add([make_span(9)])
        clock.now += 0.1
        (trace,) = store.pop_quiet()
        assert (ids(trace), trace.not_kept) == ([1, 2, 3], 3)

    def test_bytes(self, make_store: Callable[..., TraceStore], make_span: MakeSpan) -> None:
        """Few traces of huge spans are as bounded as many of small ones."""
        store = make_store(max_bytes=100)
        assert store.add([make_span(trace=1, weight=60)]) == []
        assert traces(store.add([make_span(trace=2, weight=60)])) == [1]
        assert traces(store.add([make_span(trace=3, weight=1000)])) == [2, 3]
        assert len(store) == 0

    def test_memory_of_what_was_printed(
        self, make_store: Callable[..., TraceStore], make_span: MakeSpan, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Ids of printed spans are forgotten, the oldest trace's first."""
        monkeypatch.setattr(store_module, "_REMEMBERED_SPANS", 2)
        store = make_store()
        for trace in (1, 2, 3):
            store.add([make_span(trace=trace)])
            store.pop_all()
        store.add([make_span(2, trace=1), make_span(2, trace=3)])
        assert [(trace.trace_id[-1], trace.late) for trace in store.pop_all()] == [("1", False), ("3", True)]

    @given(data=st.data())
    def test_nothing_is_lost(self, data: st.DataObject) -> None:
        """Whatever arrives in whatever order leaves exactly once or is counted."""
        clock = Clock()
        store = TraceStore(clock=clock, max_traces=3, max_spans_per_trace=4, max_bytes=20)
        out: list[Trace] = []
        arrivals = data.draw(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 3)), max_size=60))
        sent = set()
        for number, (trace, pause) in enumerate(arrivals, start=1):
            span = _span(number, trace)
            sent.add((span.trace_id, span.span_id))
            out += store.add([span])
            clock.now += pause
            out += store.pop_quiet()
            assert len(store) <= 3
        out += store.pop_all()
        received = [(span.trace_id, span.span_id) for trace in out for span in trace.spans]
        assert len(received) == len(set(received))
        assert set(received) <= sent
        assert len(received) + sum(trace.not_kept for trace in out) == len(sent)
        assert (store._bytes, len(store)) == (0, 0)


class TestLate:
    def test_marked(self, make_store: Callable[..., TraceStore], make_span: MakeSpan) -> None:
        """Spans that come after their trace was printed are a late addition, and know which parents were printed."""
        store = make_store()
        store.add([make_span(1), make_span(2, parent=1)])
        assert not store.pop_all()[0].late
        store.add([make_span(3, parent=2), make_span(5, parent=4)])
        (trace,) = store.pop_all()
        assert trace.late
        assert trace.printed_parents == {f"{2:016x}"}

    def test_printed_parent_is_not_missing(
        self, make_store: Callable[..., TraceStore], clock: Clock, make_span: MakeSpan
    ) -> None:
        store = make_store()
        store.add([make_span(1)])
        store.pop_all()
        store.add([make_span(2, parent=1)])
        clock.now += 2
        assert [ids(trace) for trace in store.pop_quiet()] == [[2]]

    def test_resent_batch(self, make_store: Callable[..., TraceStore], make_span: MakeSpan) -> None:
        """A batch that is sent again, before or after the printing, shows its spans once."""
        store = make_store()
        store.add([make_span(1), make_span(1)])
        (trace,) = store.pop_all()
        assert ids(trace) == [1]
        store.add([make_span(1)])
        assert store.pop_all() == []

    def test_same_id_another_span(self, make_store: Callable[..., TraceStore], make_span: MakeSpan) -> None:
        """Two spans that differ are two, even where somebody gave them one id."""
        store = make_store()
        store.add([make_span(1, name="one"), make_span(1, name="two")])
        assert [span.name for span in store.pop_all()[0].spans] == ["one", "two"]


def _span(number: int, trace: int) -> Any:
    from tracebaton.view.spans import Span

    return Span(
        trace_id=f"{trace:032x}", span_id=f"{number:016x}", parent_span_id="", name="", kind="", start_ns=0, end_ns=0,
        service="", status="UNSET", status_message="", attributes={}, resource={}, scope_name="", scope_version="",
        weight=3,
    )  # fmt: skip
