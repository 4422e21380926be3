"""The ids of the moment, and of the request in which an exception was raised."""

from __future__ import annotations

import pickle
from threading import Barrier, Thread

from opentelemetry import trace

from tracebaton_configurator.logs.ids import Ids, current_ids, remember_ids, remembered_ids


def span(number: int, flags: int = 1) -> trace.Span:
    context = trace.SpanContext(number, number, is_remote=False, trace_flags=trace.TraceFlags(flags))
    return trace.NonRecordingSpan(context)


def ids(number: int) -> Ids:
    return Ids(f"{number:032x}", f"{number:016x}", "01")


def test_outside_any_span_there_are_none() -> None:
    assert current_ids() is None


def test_each_span_has_its_own_however_they_take_turns() -> None:
    for number in (1, 1, 2, 1, 3, 3):
        with trace.use_span(span(number)):
            assert current_ids() == ids(number)
        assert current_ids() is None


def test_threads_do_not_get_those_of_others() -> None:
    wrong: list[Ids | None] = []
    together = Barrier(4)

    def work(number: int) -> None:
        with trace.use_span(span(number)):
            together.wait()
            wrong.extend(found for _ in range(5000) if (found := current_ids()) != ids(number))

    threads = [Thread(target=work, args=(number,)) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


class TestExceptions:
    def test_one_raised_in_a_request_is_remembered(self) -> None:
        error = ValueError()
        with trace.use_span(span(7)):
            remember_ids(error)
        assert remembered_ids(error) == ids(7)

    def test_others_and_none_have_none(self) -> None:
        assert remembered_ids(ValueError()) is None
        assert remembered_ids(None) is None

    def test_it_can_be_read_where_this_project_is_not(self) -> None:
        """As the result of a job, in a process pool or a queue."""
        error = ValueError("x")
        remember_ids(error, ids(1))
        pickled = pickle.dumps(error)
        assert b"tracebaton_configurator" not in pickled
        assert remembered_ids(pickle.loads(pickled)) == ids(1)  # noqa: S301 (see above)

    def test_one_that_takes_no_attributes_goes_without(self) -> None:
        class StubbornError(ValueError):
            def __setattr__(self, name: str, value: object) -> None:
                raise AttributeError(name)

        error = StubbornError()
        remember_ids(error, ids(1))
        assert remembered_ids(error) is None
