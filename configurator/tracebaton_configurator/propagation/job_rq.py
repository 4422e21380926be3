"""rq: the trace context stands in the job's hash in Redis, in fields of its own.

`Job.restore` reads the fields that it knows, so that any worker can run the job; `meta`, which rq has for what belongs
to the application, stays that, and a job that replaces it loses nothing. A job that repeats runs in traces of its own.
Checked with rq 1.16.2 and 3.0.0, whose workers all come to `perform_job`, in a fork, in a process of its own or not.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from functools import update_wrapper
from typing import TYPE_CHECKING, Any

from tracebaton_configurator.propagation.job_queues import between_runs, headers_for, headers_in, run_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracebaton_configurator.propagation.incoming import Incoming

# Attributes of a job object: with which headers it was made, and its run.
_HEADERS, _RUN = "_tracebaton_headers", "_tracebaton_run"
# With these, the package rq-scheduler adds the same job again and again.
_REPEATS = ("cron_string", "interval")


def replace(worker: Any) -> None:
    job_class: Any = sys.modules["rq.job"].Job
    worker_class = getattr(worker, "BaseWorker", None)
    if worker_class is None or "perform_job" not in vars(worker_class):
        worker_class = worker.Worker
    job_class.to_dict = _to_dict_with_trace(job_class.to_dict)
    job_class.restore = _restore_with_trace(job_class.restore)
    worker_class.work = _without_spans(worker_class.work)
    worker_class.perform_job = _traced(worker_class.perform_job)
    worker_class.handle_exception = _noting(worker_class.handle_exception)


def _to_dict_with_trace(to_dict: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    def to_dict_with_trace(self: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        found = to_dict(self, *args, **kwargs)
        # A new job, which is saved for the first time, belongs to what goes on now; any other to what it did.
        headers = vars(self).setdefault(_HEADERS, headers_for("rq"))
        return {**found, **headers} if headers else found

    return update_wrapper(to_dict_with_trace, to_dict)


def _restore_with_trace(restore: Callable[..., Any]) -> Callable[..., Any]:
    def restore_with_trace(self: Any, raw_data: Any, *args: Any, **kwargs: Any) -> Any:
        with suppress(Exception):
            setattr(self, _HEADERS, headers_in(raw_data))
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
        meta = job.meta if isinstance(job.meta, dict) else {}
        repeats = getattr(job, "repeats_left", None) is not None or any(key in meta for key in _REPEATS)
        headers = vars(job).get(_HEADERS)
        return run_of("rq", job.origin, headers, message_id=job.id, function=function or "", follows=not repeats)
    return None
