"""rq: the trace context stands in the job's hash in Redis, in fields of its own.

`Job.restore` reads the fields that it knows, so that any worker can run the job; `meta`, which rq has for what belongs
to the application, stays that, and a job that replaces it loses nothing. A job whose id was used before is written over
the hash of that one, so that fields for which it has nothing are written empty. A job that repeats, by rq or by the
package rq-scheduler, runs in traces of its own.
Checked with rq 1.16.2 and 3.0.0, whose workers all come to `perform_job`, in a fork, in a process of its own or not.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from contextvars import ContextVar
from functools import update_wrapper
from typing import TYPE_CHECKING, Any

from opentelemetry import propagate

from tracebaton_configurator.patching.registry import put
from tracebaton_configurator.propagation.job_queues import between_runs, headers_for, headers_in, is_left, run_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracebaton_configurator.propagation.incoming import Incoming

# Attributes of a job object: with which headers it was made, and its run.
_HEADERS, _RUN = "_tracebaton_headers", "_tracebaton_run"
# The package rq-scheduler adds a job with these in its `meta` again and again; but so may an application name things
# of its own. Which it is, is known where the job is made, and is written beside the headers.
_REPEATS = ("cron_string", "interval")
_REPEATED = "tracebaton_repeated"
_is_schedulers: ContextVar[bool] = ContextVar("tracebaton-rq-scheduler", default=False)


def replace(worker: Any) -> None:
    """Called for each of the modules."""
    if worker.__name__ == "rq_scheduler.scheduler":
        for method in ("schedule", "cron"):
            put(worker.Scheduler, method, _noting_scheduler(getattr(worker.Scheduler, method)))
        return
    job_class: Any = sys.modules["rq.job"].Job
    worker_class = getattr(worker, "BaseWorker", None)
    if worker_class is None or "perform_job" not in vars(worker_class):
        worker_class = worker.Worker
    put(job_class, "to_dict", _to_dict_with_trace(job_class.to_dict))
    put(job_class, "restore", _restore_with_trace(job_class.restore))
    put(worker_class, "work", _without_spans(worker_class.work))
    put(worker_class, "perform_job", _traced(worker_class.perform_job))
    put(worker_class, "handle_exception", _noting(worker_class.handle_exception))


def _to_dict_with_trace(to_dict: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    def to_dict_with_trace(self: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        found = to_dict(self, *args, **kwargs)
        # A new job, which is saved for the first time, belongs to what goes on now; any other to what it did.
        headers = vars(self).get(_HEADERS)
        if headers is None:
            headers = vars(self)[_HEADERS] = _headers_of_new(self)
        return {**found, **headers} if headers else found

    return update_wrapper(to_dict_with_trace, to_dict)


def _headers_of_new(job: Any) -> dict[str, str]:
    if is_left("rq"):
        return {}
    headers = {**dict.fromkeys((*propagate.get_global_textmap().fields, _REPEATED), ""), **headers_for("rq")}
    with suppress(Exception):
        if _is_schedulers.get() and any(key in job.meta for key in _REPEATS):
            headers[_REPEATED] = "1"
    return headers


def _noting_scheduler(method: Callable[..., Any]) -> Callable[..., Any]:
    def schedule(*args: Any, **kwargs: Any) -> Any:
        token = _is_schedulers.set(True)
        try:
            return method(*args, **kwargs)
        finally:
            _is_schedulers.reset(token)

    return update_wrapper(schedule, method)


def _restore_with_trace(restore: Callable[..., Any]) -> Callable[..., Any]:
    def restore_with_trace(self: Any, raw_data: Any, *args: Any, **kwargs: Any) -> Any:
        with suppress(Exception):
            setattr(self, _HEADERS, headers_in(raw_data, _REPEATED))
        return restore(self, raw_data, *args, **kwargs)

    return update_wrapper(restore_with_trace, restore)


def _without_spans(work: Callable[..., Any]) -> Callable[..., Any]:
    def work_without_spans(self: Any, *args: Any, **kwargs: Any) -> Any:
        with between_runs("rq"):
            return work(self, *args, **kwargs)

    return update_wrapper(work_without_spans, work)


def _traced(perform: Callable[..., bool]) -> Callable[..., bool]:
    def perform_job(self: Any, job: Any, *args: Any, **kwargs: Any) -> bool:
        run = _run_of(job)
        if run is None:
            return perform(self, job, *args, **kwargs)
        setattr(job, _RUN, run)
        try:
            with run:
                done = perform(self, job, *args, **kwargs)
                if str(getattr(job, "_status", "")).lower().endswith("failed"):  # without an exception, perhaps
                    run.fail()
                return done
        finally:
            vars(job).pop(_RUN, None)

    return update_wrapper(perform_job, perform)


def _noting(handle: Callable[..., Any]) -> Callable[..., Any]:
    def handle_exception(self: Any, job: Any, *exc_info: Any) -> Any:
        with suppress(Exception):
            run: Incoming | None = vars(job).get(_RUN)
            if run is not None and len(exc_info) > 1:
                run.fail(exc_info[1])
        return handle(self, job, *exc_info)

    return update_wrapper(handle_exception, handle)


def _run_of(job: Any) -> Incoming | None:
    with suppress(Exception):
        try:
            function = job.func_name
        except Exception:  # noqa: BLE001 (what the worker will find out, too)
            function = ""
        headers = {name: value for name, value in (vars(job).get(_HEADERS) or {}).items() if value}
        repeats = getattr(job, "repeats_left", None) is not None or headers.pop(_REPEATED, "")
        return run_of("rq", job.origin, headers, message_id=job.id, function=function or "", follows=not repeats)
    return None
