"""Who gets the context of a request in a thread, and that nothing else changes for what runs there."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from time import monotonic
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import context as context_api
from opentelemetry import trace

from tracebaton_configurator.logs.ids import Ids, current_ids, current_request, remembered_ids
from tracebaton_configurator.patching import registry
from tracebaton_configurator.propagation import threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SPAN_CONTEXT = trace.SpanContext(7, 7, is_remote=False, trace_flags=trace.TraceFlags(1))


@pytest.fixture(autouse=True)
def installed() -> Iterator[None]:
    threads.install(300.0)
    yield
    for around in threads.around().values():
        assert around.before is not None
        around.before()


@pytest.fixture
def request_here() -> Iterator[Any]:
    """The test runs in a request that is being answered."""
    request = SimpleNamespace(answered=0.0, span_context=SPAN_CONTEXT)
    token = current_request.set(request)
    with trace.use_span(trace.NonRecordingSpan(SPAN_CONTEXT)):
        yield request
    current_request.reset(token)


def in_thread(start: Callable[[threading.Thread], object] = threading.Thread.start) -> list[Ids | None]:
    found: list[Ids | None] = []
    thread = threading.Thread(target=lambda: found.append(current_ids()))
    start(thread)
    thread.join()
    return found


def as_library(path: str, name: str) -> Callable[[threading.Thread], object]:
    """A function of a module of that name, in that file, which starts a thread."""
    made: dict[str, Any] = {"__name__": name}
    exec(compile("def start_for(library, thread): thread.start()", path, "exec"), made)  # noqa: S102
    return lambda thread: made["start_for"](None, thread)


def test_both_are_applied() -> None:
    assert [registry.outcome(name).status for name in ("threads", "executors")] == ["applied", "applied"]


@pytest.mark.usefixtures("request_here")
def test_a_thread_of_the_applications() -> None:
    assert in_thread(lambda thread: thread.start()) == [current_ids()]
    assert current_ids() is not None


@pytest.mark.usefixtures("request_here")
@pytest.mark.parametrize(
    ("path", "name", "has_ids"),
    [
        ("/usr/lib/python3/site-packages/posting/consumer.py", "posting.consumer", 0),
        ("/usr/lib/python3/dist-packages/posting.py", "posting", 0),
        (threading.__file__, "threading", 0),
        ("/usr/lib/python3/site-packages/shop/main.py", "shop.main", 1),
        ("/srv/shop/main.py", "main", 1),
        ("<string>", "__main__", 1),
    ],
)
def test_only_the_application_hands_it_on(
    path: str,
    name: str,
    has_ids: object,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/bin/uvicorn", "shop.main:app", "--port", "80"])
    threads._applications.cache_clear()
    try:
        assert in_thread(as_library(path, name)) == [current_ids() if has_ids else None]
    finally:
        threads._applications.cache_clear()


@pytest.mark.usefixtures("request_here")
def test_a_wrapper_of_start_is_passed_over() -> None:
    made: dict[str, Any] = {"__name__": "monitoring"}
    exec(compile("def start(self): self.start()", "/usr/lib/site-packages/monitoring.py", "exec"), made)  # noqa: S102
    assert in_thread(made["start"]) == [current_ids()]


def test_outside_a_request_nothing_is_handed_on() -> None:
    with trace.use_span(trace.NonRecordingSpan(SPAN_CONTEXT)):
        assert in_thread(lambda thread: thread.start()) == [None]


def test_long_after_the_answer_nothing_is_handed_on(request_here: Any) -> None:
    request_here.answered = monotonic() - 301
    assert current_ids() is None
    assert in_thread(lambda thread: thread.start()) == [None]
    with ThreadPoolExecutor(1) as executor:
        assert executor.submit(context_api.get_current).result() == {}


@pytest.mark.usefixtures("request_here")
def test_a_worker_is_left_as_it_was() -> None:
    with ThreadPoolExecutor(1) as executor:
        assert executor.submit(current_ids).result() == current_ids()
        token = context_api.attach(context_api.Context())  # so nothing is handed on
        found = executor.submit(lambda: (context_api.get_current(), current_request.get())).result()
        context_api.detach(token)
        assert found == ({}, None)


@pytest.mark.usefixtures("request_here")
def test_an_exception_in_an_executor_is_part_of_no_circle() -> None:
    class Marker:
        pass

    def fail(marker: Marker) -> None:
        raise ValueError(marker)

    gc.disable()
    try:
        with ThreadPoolExecutor(1) as executor:
            marker = Marker()
            gone = weakref.ref(marker)
            error = executor.submit(fail, marker).exception()
            assert isinstance(error, ValueError)
            assert remembered_ids(error) == current_ids()  # asyncio may report it later on
            executor.submit(bool).result()
        del marker, error
        assert gone() is None
    finally:
        gc.enable()


@pytest.mark.usefixtures("request_here")
def test_a_thread_is_part_of_no_circle() -> None:
    gc.disable()
    try:
        thread = threading.Thread(target=bool)
        thread.start()
        thread.join()
        gone = weakref.ref(thread)
        del thread
        assert gone() is None
    finally:
        gc.enable()


@pytest.mark.usefixtures("request_here")
def test_a_thread_that_cannot_be_started_fails_as_ever() -> None:
    thread = threading.Thread(target=bool)
    thread.start()
    thread.join()
    with pytest.raises(RuntimeError, match="threads can only be started once"):
        thread.start()


@pytest.mark.usefixtures("request_here")
def test_a_thread_that_fails_has_the_ids_in_the_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", lambda _: found.append(current_ids()))
    thread = threading.Thread(target=int, args=("x",))
    thread.start()
    thread.join()
    assert found == [current_ids()]


def test_a_python_with_other_names_is_left_alone() -> None:
    module: Any = SimpleNamespace(Thread=type("Thread", (), {"start": bool}))
    start = module.Thread.start
    assert not threads._replace_start(module)
    assert module.Thread.start is start
    with pytest.raises(KeyError):
        threads._replace_work_item(SimpleNamespace())  # type: ignore[arg-type]


GREENLETS = """
import sys, threading
from types import SimpleNamespace
from tracebaton_configurator.propagation import threads
from tracebaton_configurator.logs.ids import current_ids, current_request
from opentelemetry import trace
if sys.argv[2] == "late":
    threads.install(300.0)
if sys.argv[1] == "gevent":
    from gevent import monkey; monkey.patch_all()
else:
    import eventlet; eventlet.monkey_patch()
if sys.argv[2] == "early":
    threads.install(300.0)
import threading
from concurrent.futures import ThreadPoolExecutor
context = trace.SpanContext(7, 7, is_remote=False, trace_flags=trace.TraceFlags(1))
found, idle = [], []
def work(into): into.append(current_ids())
def run(into, start=threading.Thread.start):
    thread = threading.Thread(target=work, args=(into,)); start(thread); thread.join()
def library():
    made = {"__name__": "library"}
    exec(compile("def begin(_, thread): thread.start()", "/x/site-packages/library.py", "exec"), made)
    return lambda thread: made["begin"](None, thread)
token = current_request.set(SimpleNamespace(answered=0.0, span_context=context))
with trace.use_span(trace.NonRecordingSpan(context)):
    run(found)
    run(idle, library())
    with ThreadPoolExecutor(1, initializer=work, initargs=(idle,)) as executor:
        executor.submit(work, found).result()
    here = current_ids()
assert found == [here, here] and here, found
assert idle == [None, None], idle
"""


@pytest.mark.parametrize("moment", ["early", "late"])
@pytest.mark.parametrize("model", ["gevent", "eventlet"])
def test_greenlets(model: str, moment: str) -> None:
    if find_spec(model) is None:
        pytest.skip(f"{model.upper()} IS NOT INSTALLED HERE")
    done = subprocess.run(
        [sys.executable, "-c", GREENLETS, model, moment], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_a_librarys_thread_that_starts_itself_when_it_is_made_has_no_context(request_here: Any) -> None:
    found: list[Ids | None] = []
    made: dict[str, Any] = {
        "__name__": "client.pool",
        "Thread": threading.Thread,
        "look": lambda: found.append(current_ids()),
    }
    code = "class Client(Thread):\n def __init__(self):\n  super().__init__()\n  self.start()\n def run(self): look()"
    exec(compile(code, "/x/site-packages/client/pool.py", "exec"), made)  # noqa: S102
    made["Client"]().join()
    assert found == [None]


@pytest.mark.parametrize("argv", [[SimpleNamespace()], None])
def test_an_odd_command_line_starts_threads_all_the_same(
    request_here: Any, monkeypatch: pytest.MonkeyPatch, argv: list[Any] | None
) -> None:
    threads._applications.cache_clear()
    if argv is None:
        monkeypatch.delattr(sys, "argv")
    else:
        monkeypatch.setattr(sys, "argv", argv)
    assert len(in_thread(as_library("/x/site-packages/y/z.py", "y.z"))) == 1
    threads._applications.cache_clear()


def test_executors_that_are_imported_later_are_left_to_upstream_too(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting: list[Callable[[Any], object]] = []
    monkeypatch.setattr(threads.on_import, "after", lambda _, come: waiting.append(come))
    threads.install(300.0)
    threads._leave_to_upstream()
    from concurrent.futures import thread

    run = thread._WorkItem.run
    waiting[-1](thread)
    assert thread._WorkItem.run is run


@pytest.mark.usefixtures("request_here")
def test_one_that_refuses_attributes_is_started_all_the_same() -> None:
    class Strict(threading.Thread):
        def __setattr__(self, name: str, value: object) -> None:
            if name == "_bootstrap_inner":
                raise AttributeError(name)
            super().__setattr__(name, value)

    done: list[int] = []
    thread = Strict(target=done.append, args=(1,))
    thread.start()
    thread.join()
    assert done == [1]
