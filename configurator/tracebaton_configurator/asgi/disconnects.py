"""A client that goes away before it has its answer: said on the SERVER span, and no failure of the application's.

ASGI says it in two ways: `http.disconnect` from `receive`, and an OSError that `send` raises (since version 2.4 of
https://asgi.readthedocs.io/en/latest/specs/www.html#disconnected-client-send-exception).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.trace import StatusCode

from tracebaton_configurator.logs.diagnostics import described, report_error
from tracebaton_configurator.sampling.late_spans import is_failure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.trace import Span

# The event's name.
DISCONNECTED = "client disconnected"
_ERROR_TYPE = "error.type"
# What FastAPI's own telemetry has as `error.type` where a client has gone (0.142 to 0.165, fastapi/telemetry/_asgi.py).
_OF_FASTAPI = "ConnectionError"


def is_consequence(error: BaseException, send: Callable[..., object]) -> bool:
    """Whether the application raised `error` because its client had gone; `send` is the server's.

    It is one of Starlette's classes for it, or the end of a cancelled task, or it came out of `send`, by itself or as
    the `__cause__` of another one, or a group of such exceptions. Never raises.
    """
    if not is_failure(error):
        return True
    grouped = getattr(error, "exceptions", None)
    if isinstance(grouped, tuple) and grouped and isinstance(grouped[0], BaseException):  # of Python 3.11, or anyio's
        return all(is_consequence(one, send) for one in grouped)
    return any(isinstance(one, OSError) and _came_out_of(send, one) for one in (error, error.__cause__))


def _came_out_of(send: Callable[..., object], error: BaseException) -> bool:
    """Whether it was raised below `send`, which is written in Python in the servers that raise anything there."""
    function = getattr(send, "func", send)  # of a partial
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    traceback = error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_code is code:
            return True
        traceback = traceback.tb_next
    return False


def note_disconnect(span: Span, send: Callable[..., object], error: BaseException | None = None) -> None:
    """Say on `span` that the client has gone, with what `send` has raised, if it has. Never raises."""
    try:
        if span.is_recording():
            span.add_event(DISCONNECTED)
    except Exception as failure:  # noqa: BLE001 (a request does not fail for what its span says)
        report_error("A client that had gone could not be noted", failure)
    excuse(span, send, error)


def excuse(span: Span, send: Callable[..., object], error: BaseException | None = None) -> None:
    """Have `span` make no error of what follows from the client's having gone, whoever tells it. Never raises.

    What the application raises passes others who record it: upstream's middlewares, and FastAPI's own telemetry, to
    which a client that has gone is an error. And it is answered by HTTP 500, which nobody gets. What it raises for
    other reasons is an error still.
    """
    try:
        if span.is_recording() and "set_status" not in vars(span):
            _Excuse(span, send, error).apply()
    except Exception as failure:  # noqa: BLE001 (see above)
        report_error("A client that had gone could not be noted", failure)


class _Excuse:
    """In front of the four methods of one span by which it becomes an error."""

    def __init__(self, span: Any, send: Callable[..., object], error: BaseException | None) -> None:
        self._span = span
        self._send = send
        self._descriptions: set[str | None] = {None, ""}
        self._types = {_OF_FASTAPI}
        if error is not None:
            self._learn(error)

    def apply(self) -> None:
        span = self._span
        self._record_exception, self._set_status = span.record_exception, span.set_status
        self._set_attribute, self._set_attributes = span.set_attribute, span.set_attributes
        span.record_exception, span.set_status = self.record_exception, self.set_status
        span.set_attribute, span.set_attributes = self.set_attribute, self.set_attributes

    def record_exception(self, exception: BaseException, *args: Any, **options: Any) -> None:
        if is_consequence(exception, self._send):
            self._learn(exception)
            return
        self._fail()
        self._record_exception(exception, *args, **options)

    def set_status(self, status: Any, description: str | None = None) -> None:
        code = getattr(status, "status_code", status)
        if code is not StatusCode.ERROR or getattr(status, "description", description) not in self._descriptions:
            self._set_status(status, description)

    def set_attribute(self, key: str, value: Any) -> None:
        if key != _ERROR_TYPE or not self._is_excused(value):
            self._set_attribute(key, value)

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        if _ERROR_TYPE in attributes and self._is_excused(attributes[_ERROR_TYPE]):
            attributes = {key: value for key, value in attributes.items() if key != _ERROR_TYPE}
        self._set_attributes(attributes)

    def _learn(self, error: BaseException) -> None:
        kind = type(error)
        self._descriptions |= {f"{kind.__name__}: {error}", described(error)}
        self._types |= {kind.__qualname__, f"{kind.__module__}.{kind.__qualname__}"}

    def _fail(self) -> None:
        """From now on an ERROR that nobody explains is one."""
        self._descriptions -= {None, ""}

    def _is_excused(self, error_type: object) -> bool:
        """Also that of a status, for as long as nothing else has failed."""
        kind = str(error_type)
        if kind in self._types or kind.rpartition(".")[2] in ("ClientDisconnect", "WebSocketDisconnect"):
            return True
        if kind.isdigit():
            return None in self._descriptions
        if kind.rpartition(".")[2] != "CancelledError":
            self._fail()
            return False
        return True
