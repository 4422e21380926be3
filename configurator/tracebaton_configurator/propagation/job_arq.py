"""arq: the trace context stands in the job's definition, beside the library's own keys.

A worker reads the keys that it knows (`deserialize_job_raw`), so that any can run the job. A serializer of the
application's own that takes no others gets the definition as it was. But a deserializer of its own that forbids other
keys refuses the jobs that requests have added, in a worker with this project or without: there, what adds jobs needs
`OTEL_TRACEBATON_DISABLED_PATCHES=arq`.
Checked with arq 0.26.1 and 0.28.0.
"""

from __future__ import annotations

import pickle
import sys
from contextlib import suppress
from contextvars import ContextVar
from functools import update_wrapper
from inspect import signature
from typing import TYPE_CHECKING, Any

from tracebaton_configurator.patching.registry import put
from tracebaton_configurator.propagation.job_queues import between_runs, headers_for, headers_in, run_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType

    from tracebaton_configurator.propagation.incoming import Incoming


class _ArqRun:
    """One call of `Worker.run_job`, in a task of its own; the job is known once its definition has been read."""

    def __init__(self, worker: Any, job_id: str) -> None:
        self._worker = worker
        self._retries: tuple[type[BaseException], ...] = ()
        self._job_id = job_id
        self._work: Incoming | None = None

    def begin(self, headers: Mapping[str, Any], function: str) -> None:
        work = run_of("arq", self._worker.queue_name, headers, message_id=self._job_id, function=function)
        if work is not None and self._work is None:
            self._work = work.__enter__()

    def fail(self, error: BaseException) -> None:
        asked_for = self._worker.retry_jobs and type(error).__name__ in ("Retry", "RetryJob")
        if self._work is not None and not asked_for:
            self._work.fail(error)

    def end(self, error: BaseException | None = None) -> None:
        if self._work is not None:
            self._work.end(error)


class _WatchedTasks(dict[str, Any]):
    """`Worker.job_tasks`: what ends a job is on its way when the worker takes its task out again."""

    def __delitem__(self, job_id: str) -> None:
        error, run = sys.exc_info()[1], _run.get()
        if error is not None and run is not None:
            run.fail(error)
        super().__delitem__(job_id)


_run: ContextVar[_ArqRun | None] = ContextVar("tracebaton-arq-run", default=None)


def replace(worker: Any) -> None:
    connections: ModuleType = sys.modules["arq.connections"]
    run_job, serialize_result = worker.Worker.run_job, worker.serialize_result
    poll = worker.Worker._poll_iteration  # noqa: SLF001
    parameters = signature(serialize_result)

    async def run_traced(self: Any, job_id: str, *args: Any, **kwargs: Any) -> Any:
        run = _ArqRun(self, job_id)
        if type(self.job_tasks) is dict:
            self.job_tasks = _WatchedTasks(self.job_tasks)
        token = _run.set(run)
        try:
            result = await run_job(self, job_id, *args, **kwargs)
        except BaseException as error:
            run.end(error)
            raise
        finally:
            _run.reset(token)
        run.end()
        return result

    def serialize_and_note(*args: Any, **kwargs: Any) -> Any:
        """What became of a job that was not begun, for the main path has noted it already."""
        run = _run.get()
        if run is not None:
            with suppress(Exception):
                given = parameters.bind(*args, **kwargs).arguments
                if not given["success"]:
                    run.fail(given["result"])
        return serialize_result(*args, **kwargs)

    async def poll_without_spans(self: Any, *args: Any, **kwargs: Any) -> Any:
        with between_runs("arq"):
            return await poll(self, *args, **kwargs)

    put(connections, "serialize_job", _serialize_with_trace(connections.serialize_job))
    put(worker, "deserialize_job_raw", _deserialize_and_begin(worker.deserialize_job_raw))
    put(worker, "serialize_result", update_wrapper(serialize_and_note, serialize_result))
    put(worker.Worker, "run_job", update_wrapper(run_traced, run_job))
    put(worker.Worker, "_poll_iteration", update_wrapper(poll_without_spans, poll))


def _serialize_with_trace(serialize: Callable[..., bytes]) -> Callable[..., bytes]:
    def serialize_job(*args: Any, serializer: Callable[[Any], bytes] | None = None, **kwargs: Any) -> bytes:
        headers = headers_for("arq")
        if not headers:
            return serialize(*args, serializer=serializer, **kwargs)
        write = serializer or pickle.dumps

        def write_with_headers(data: Any) -> bytes:
            try:
                return write({**data, **headers})
            except Exception:  # noqa: BLE001 (it, or the job's own arguments; then this raises again)
                return write(data)

        return serialize(*args, serializer=write_with_headers, **kwargs)

    return update_wrapper(serialize_job, serialize)


def _deserialize_and_begin(deserialize: Callable[..., tuple[Any, ...]]) -> Callable[..., tuple[Any, ...]]:
    def deserialize_job_raw(r: bytes, *, deserializer: Callable[[bytes], Any] | None = None) -> tuple[Any, ...]:
        run = _run.get()
        if run is None:
            return deserialize(r, deserializer=deserializer)
        found: dict[str, Any] = {}

        def read_and_note(data: bytes) -> Any:
            definition = (deserializer or pickle.loads)(data)
            with suppress(Exception):
                found.update(definition)
            return definition

        try:
            return deserialize(r, deserializer=read_and_note)
        finally:
            run.begin(headers_in(found), str(found.get("f", "")))

    return update_wrapper(deserialize_job_raw, deserialize)
