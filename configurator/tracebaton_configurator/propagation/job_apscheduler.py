"""APScheduler 3: a run is a trace of its own, linked to the request that has added the job, and never its child.

Without this a job's runs stay in the context of that request for ever: the timer that it has set, and each that this
one sets, and the task or thread of each run. The trace context goes along in a job's state (`Job.__getstate__`), of
which others read what they know, so that it survives in a job store and on the way into a process pool.
Checked with APScheduler 3.10.4 and 3.11.3, whose executors all call `run_job` or `run_coroutine_job`.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager, suppress
from functools import update_wrapper
from typing import TYPE_CHECKING, Any
from weakref import ref

from opentelemetry import context as context_api

from tracebaton_configurator.logs.ids import current_request
from tracebaton_configurator.patching.registry import put
from tracebaton_configurator.propagation.job_queues import headers_for, headers_in, run_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tracebaton_configurator.propagation.incoming import Incoming

# By the id of a job object, which has neither room for another attribute nor a hash.
_headers: dict[int, tuple[ref[Any], dict[str, str]]] = {}


def replace(module: Any) -> bool:
    """Called for each of the modules, in whichever order they come."""
    if module.__name__ == "apscheduler.job":
        return _replace_state(module.Job)
    if module.__name__ != "apscheduler.schedulers.base":
        found = [name for name in _RUN if getattr(vars(module).get(name), "__module__", "") == module.__name__]
        for name in found:
            run = getattr(module, name)
            _put_everywhere(name, run, _RUN[name](run, sys.modules["apscheduler.events"]))
        return bool(found)
    put(module.BaseScheduler, "_process_jobs", _in_clean_context(module.BaseScheduler._process_jobs))  # noqa: SLF001
    return True


def _put_everywhere(name: str, original: object, ours: object) -> None:
    """Also where an executor's module has it by this name already."""
    for module_name, module in [*sys.modules.items()]:
        if module_name.startswith("apscheduler.executors.") and getattr(module, name, None) is original:
            put(module, name, ours)


def _remember(job: Any, headers: dict[str, str]) -> None:
    if headers:
        key = id(job)
        _headers[key] = ref(job, lambda _: _headers.pop(key, None)), headers


def _headers_of(job: Any) -> dict[str, str]:
    found = _headers.get(id(job))
    return found[1] if found is not None and found[0]() is job else {}


def _replace_state(job_class: Any) -> bool:
    begin, get_state, set_state = job_class.__init__, job_class.__getstate__, job_class.__setstate__

    def begin_with_trace(self: Any, *args: Any, **kwargs: Any) -> None:
        begin(self, *args, **kwargs)
        with suppress(Exception):
            _remember(self, headers_for("apscheduler"))

    def get_state_with_trace(self: Any) -> dict[str, Any]:
        return {**get_state(self), **_headers_of(self)}

    def set_state_with_trace(self: Any, state: dict[str, Any]) -> None:
        set_state(self, state)
        with suppress(Exception):
            _remember(self, headers_in(state))

    put(job_class, "__init__", update_wrapper(begin_with_trace, begin))
    put(job_class, "__getstate__", update_wrapper(get_state_with_trace, get_state))
    put(job_class, "__setstate__", update_wrapper(set_state_with_trace, set_state))
    return True


def _traced(run_job: Callable[..., list[Any]], events: Any) -> Callable[..., list[Any]]:
    def run_traced(job: Any, alias: Any, run_times: Sequence[Any], *args: Any) -> list[Any]:
        happened = []
        for time in run_times:
            with _run(job, alias, events) as note:
                happened += note(run_job(job, alias, [time], *args))
        return happened

    return update_wrapper(run_traced, run_job)


def _traced_coroutine(run_job: Callable[..., Any], events: Any) -> Callable[..., Any]:
    async def run_traced(job: Any, alias: Any, run_times: Sequence[Any], *args: Any) -> list[Any]:
        happened = []
        for time in run_times:
            with _run(job, alias, events) as note:
                happened += note(await run_job(job, alias, [time], *args))
        return happened

    return update_wrapper(run_traced, run_job)


_RUN: dict[str, Callable[..., Callable[..., Any]]] = {"run_job": _traced, "run_coroutine_job": _traced_coroutine}


@contextmanager
def _run(job: Any, alias: Any, events: Any) -> Iterator[Callable[[list[Any]], list[Any]]]:
    """One run; what it yields is to be told what happened, and hands it back."""
    run = _run_of(job, alias)
    if run is None:
        yield lambda happened: happened
        return

    def note(happened: list[Any]) -> list[Any]:
        with suppress(Exception):
            for event in happened:
                if event.code == events.EVENT_JOB_MISSED:
                    run.discard()
                elif event.code == events.EVENT_JOB_ERROR:
                    run.fail(event.exception)
        return happened

    with run:
        yield note


def _run_of(job: Any, alias: Any) -> Incoming | None:
    with suppress(Exception):
        function = str(job.func_ref or getattr(job.func, "__qualname__", job.name))
        return run_of(
            "apscheduler",
            str(alias),
            _headers_of(job),
            message_id=job.id,
            function=function,
            span_name=f"run {function.rpartition(':')[2]}",
            follows=False,
        )
    return None


def _in_clean_context(process: Callable[..., Any]) -> Callable[..., Any]:
    def process_jobs(self: Any, *args: Any, **kwargs: Any) -> Any:
        token, request = context_api.attach(context_api.Context()), current_request.set(None)
        try:
            return process(self, *args, **kwargs)
        finally:
            current_request.reset(request)
            context_api.detach(token)

    return update_wrapper(process_jobs, process)
