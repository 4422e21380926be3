"""What is sent to other processes is understood by those that know nothing of it, and nobody is left in a request."""

from __future__ import annotations

import pickle
import subprocess
import sys
import textwrap
from concurrent.futures import process
from functools import partial
from multiprocessing.reduction import ForkingPickler
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace

from tracebaton_configurator.logs.ids import current_request, is_detached
from tracebaton_configurator.propagation import process_context, processes
from tracebaton_configurator.sampling.decision import RequestDecision
from tracebaton_configurator.startup import started_by

if TYPE_CHECKING:
    from collections.abc import Callable

HEADERS = {"traceparent": f"00-{5:032x}-{6:016x}-01"}


def run(script: str, *arguments: str) -> str:
    """In a Python of its own, as the patches cannot be undone."""
    command = [sys.executable, "-c", textwrap.dedent(script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_item_of_work_can_be_read_without_the_patches() -> None:
    sent = run(
        """
        import pickle, sys
        from tracebaton_configurator.propagation import processes
        processes.install(lambda: None)
        from concurrent.futures import process
        processes.TRACING.headers = lambda: {"traceparent": "x"}
        item = process._WorkItem(None, divmod, (7, 2), {})
        call = process._CallItem(1, item.fn, item.args, item.kwargs)
        assert type(call.kwargs) is dict, type(call.kwargs)
        sys.stdout.write(pickle.dumps(call).hex())
        """
    )
    call = pickle.loads(bytes.fromhex(sent))  # noqa: S301
    assert type(call) is process._CallItem
    assert call.fn(*call.args, **call.kwargs) == (3, 1)
    assert (call.work_id, call._tracebaton_headers) == (1, {"traceparent": "x"})


@pytest.mark.skipif(sys.version_info < (3, 11), reason="`raise` has noted the frame by then")
def test_tracebacks_are_as_without() -> None:
    shown = run(
        """
        import multiprocessing, multiprocessing.pool, sys, traceback
        from tracebaton_configurator.propagation import processes
        processes.install(lambda: None)
        def show(function, *arguments):
            try:
                function(*arguments)
            except Exception:
                sys.stdout.write(traceback.format_exc())
        show(multiprocessing.get_context("spawn").Process(target=lambda: None).start)
        pool = multiprocessing.pool.ThreadPool(1)
        pool.terminate()
        show(pool.apply_async, divmod)
        """
    )
    assert "lambda" in shown
    assert "Pool not running" in shown
    assert "tracebaton" not in shown


def test_a_function_for_a_pool_is_sent_as_a_partial() -> None:
    function = processes._Carrying(divmod)
    function._tracebaton_headers = HEADERS  # type: ignore[attr-defined]
    received = pickle.loads(ForkingPickler.dumps(function))  # noqa: S301
    assert type(received) is partial
    assert received(7, 2) == (3, 1)
    assert processes._headers_of((0, 0, received, (), {})) == HEADERS
    assert processes._headers_of((0, 0, map, ((received, (1,)),), {})) == HEADERS
    assert processes._headers_of((0, 0, map, (), {})) is None
    assert processes._headers_of(None) is None


def test_nothing_is_sent_outside_a_request() -> None:
    sent = run(
        """
        import pickle, sys
        from tracebaton_configurator.propagation import processes
        if sys.argv[1:]:
            processes.install(lambda: None)
        from concurrent.futures import process
        item = process._WorkItem(None, divmod, (7, 2), {})
        sys.stdout.write(pickle.dumps(process._CallItem(1, item.fn, item.args, item.kwargs)).hex())
        """,
        "patched",
    )
    assert pickle.loads(bytes.fromhex(sent)).__dict__ == {"work_id": 1, "fn": divmod, "args": (7, 2), "kwargs": {}}  # noqa: S301


def test_a_worker_of_a_pool_starts_outside_any_request(traced: Callable[..., Any]) -> None:
    here = traced()
    with here.tracer.start_as_current_span("request"):
        token = current_request.set(RequestDecision({}, recorded=True, trace_id=1, trace_state=None))  # type: ignore[arg-type]
        found = process_context._clean(lambda: (current_request.get(), trace.get_current_span()))
        assert found == (None, trace.INVALID_SPAN)
        assert current_request.get() is not None
        current_request.reset(token)


@pytest.mark.parametrize("recorded", [True, False])
def test_a_forked_child_leaves_the_request_that_has_forked_it(traced: Callable[..., Any], *, recorded: bool) -> None:
    """It is answered in the parent, whose span it is: for the child, that is now."""
    here = traced("*=1" if recorded else "*=0, INTERNAL *=0")
    with here.tracer.start_as_current_span("request") as span:
        request: Any = RequestDecision({}, recorded=recorded, trace_id=1, trace_state=None)  # type: ignore[arg-type]
        request.span_context = span.get_span_context()
        token = current_request.set(request)
        try:
            started_by.leave_parents_request()
            assert request.answered
            assert not is_detached(request)
            assert not trace.get_current_span().is_recording()
            assert trace.get_current_span().get_span_context() == span.get_span_context()
        finally:
            current_request.reset(token)
