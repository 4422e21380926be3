"""A call by an HTTP client that no instrumentation is installed for: a CLIENT span, and the headers to send."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from opentelemetry import context as context_api
from opentelemetry import propagate, trace
from opentelemetry.context import Context, create_key
from opentelemetry.instrumentation.utils import is_http_instrumentation_enabled
from opentelemetry.trace import SpanKind, set_span_in_context
from opentelemetry.util.http import get_excluded_urls

from tracebaton_configurator.logs.diagnostics import report_error
from tracebaton_configurator.sampling.decision import hands_on_unsampled, notes_calls
from tracebaton_configurator.sampling.late_spans import end_call
from tracebaton_configurator.sampling.upstream import SUPPRESS_HTTP_INSTRUMENTATION

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from opentelemetry.trace import Span, Tracer


# What a call above is about: a client below that makes the same call leaves it at that.
_CALL = create_key("tracebaton-call")


class Outgoing:
    """One call; `headers` are those to send besides its own, none for one that is `excluded`."""

    __slots__ = ("_context", "_span", "_target", "headers")

    def __init__(self, url: str, span: Span | None, context: Context, *, excluded: bool = False) -> None:
        self._target = _target(url)
        self._span = span
        self._context = context
        self.headers: dict[str, str] = {}
        if not excluded:
            propagate.inject(self.headers, context)

    def entered(self) -> AbstractContextManager[None]:
        """The context in which the call is made, when the clients below it make no other: nothing is traced there."""
        return _Entered(Context({**self._context, SUPPRESS_HTTP_INSTRUMENTATION: True}))

    def entered_for_itself(self) -> AbstractContextManager[None]:
        """The same where there may be more, such as an application that is called in this process."""
        return _Entered(Context({**self._context, _CALL: self._target}))

    def answered(self, answer: object) -> None:
        """Note the status code of a response. Never raises."""
        if self._span is not None:
            self._note(self._span, answer)

    def watch(self, watch: Callable[[Any, Span], object], answer: object) -> None:
        """Have the span last until the body of the answer has been read: see `bodies`."""
        if self._span is not None:
            watch(answer, self._span)

    @staticmethod
    def _note(span: Span, answer: object) -> None:
        from tracebaton_configurator.propagation.upstream_semconv import set_answer

        with suppress(Exception):  # a client of a class of its own may answer anything
            status = getattr(answer, "status_code", None) or getattr(answer, "status", None)
            if status is not None:
                set_answer(span, int(status))

    def end(self, error: BaseException | None = None) -> None:
        """End the span, if there is one, with what the client has raised. Never raises."""
        span, self._span = self._span, None
        if span is not None:
            if isinstance(error, Exception) and hasattr(error, "status"):  # urllib raises an answer of 400 and above
                self._note(span, error)
            end_call(span, error)


class _Entered:
    __slots__ = ("_context", "_token")

    def __init__(self, context: Context) -> None:
        self._context = context

    def __enter__(self) -> None:
        self._token = context_api.attach(self._context)

    def __exit__(self, *_: object) -> None:
        context_api.detach(self._token)


def _target(url: str) -> tuple[str, str | None, int | None, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme), parts.path or "/"


# A file and data are no service.
_TRACED = ("http:", "https:", "ws:", "wss:", "http+unix:", "https+unix:")
_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


class TracedClient:
    """What calls of one kind of client share: `name` is as in the variables (`OTEL_PYTHON_<NAME>_EXCLUDED_URLS`)."""

    def __init__(self, name: str) -> None:
        self.excluded = get_excluded_urls(name.upper().replace("-", "_"))
        self._tracer: Tracer | None = None  # got when there is a call: the SDK adds a filter for warnings then

    def begin(self, method: str, url: str) -> Outgoing | None:
        """None where nothing is to be traced, or is already. Never raises."""
        try:
            context = context_api.get_current()
            unsampled = hands_on_unsampled(context)
            if not (unsampled or is_http_instrumentation_enabled()):
                return None
            if not url.startswith(_TRACED) or context.get(_CALL) == _target(url):
                return None
            excluded = self.excluded.url_disabled(url)
            if excluded or (unsampled and notes_calls(context) is None):
                return Outgoing(url, None, context, excluded=excluded)
            from tracebaton_configurator.propagation.upstream_semconv import of_call

            parts = urlsplit(url)
            name, attributes = of_call(method, url, parts.hostname, parts.port)
            self._tracer = self._tracer or trace.get_tracer("tracebaton")
            span = self._tracer.start_span(name, kind=SpanKind.CLIENT, attributes=attributes)
            return Outgoing(url, span, set_span_in_context(span, context))
        except Exception as error:  # noqa: BLE001 (the application's call is made as it is)
            report_error("The span of a call could not be made", error)
            return None
