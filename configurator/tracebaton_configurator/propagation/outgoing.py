"""A call by an HTTP client that no instrumentation is installed for: a CLIENT span, and the headers to send."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from opentelemetry import context as context_api
from opentelemetry import propagate, trace
from opentelemetry.instrumentation.utils import is_http_instrumentation_enabled, suppress_http_instrumentation
from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.util.http import get_excluded_urls

from tracebaton_configurator.logs.diagnostics import described, report_error
from tracebaton_configurator.sampling.decision import UNSAMPLED

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from opentelemetry.context import Context
    from opentelemetry.trace import Span, Tracer


class Outgoing:
    """One call; `headers` are those to send besides its own. Inside `entered` nothing below it makes a span again."""

    __slots__ = ("_context", "_span", "headers")

    def __init__(self, span: Span | None, context: Context) -> None:
        self._span = span
        self._context = context
        self.headers: dict[str, str] = {}
        propagate.inject(self.headers, context)

    def entered(self) -> AbstractContextManager[None]:
        """The context in which the call is made."""
        return _Entered(self._context)

    def answered(self, status: int) -> None:
        """Note the status code. Never raises."""
        if self._span is not None:
            from tracebaton_configurator.propagation.upstream_semconv import set_answer

            with suppress(Exception):  # a client of a class of its own may answer anything
                set_answer(self._span, status)

    def end(self, error: BaseException | None = None) -> None:
        """End the span, if there is one, with what the client has raised. Never raises."""
        span, self._span = self._span, None
        if span is None:
            return
        try:
            if isinstance(error, Exception):
                span.record_exception(error)
                span.set_status(Status(StatusCode.ERROR, described(error)))
                span.set_attribute("error.type", type(error).__qualname__)
            span.end()
        except Exception as problem:  # noqa: BLE001 (a span processor of the application's)
            report_error("The span of a call could not be ended", problem)


class _Entered:
    __slots__ = ("_context", "_suppressed", "_token")

    def __init__(self, context: Context) -> None:
        self._context = context

    def __enter__(self) -> None:
        self._token = context_api.attach(self._context)
        self._suppressed: Any = suppress_http_instrumentation()
        self._suppressed.__enter__()

    def __exit__(self, *_: object) -> None:
        self._suppressed.__exit__(None, None, None)
        context_api.detach(self._token)


class TracedClient:
    """What calls of one kind of client share: `name` is as in the variables (`OTEL_PYTHON_<NAME>_EXCLUDED_URLS`)."""

    def __init__(self, name: str) -> None:
        self.excluded = get_excluded_urls(name.upper().replace("-", "_"))
        self._tracer: Tracer | None = None  # got when there is a call: the SDK adds a filter for warnings then

    def begin(self, method: str, url: str) -> Outgoing | None:
        """None where nothing is to be traced, or is already. Never raises."""
        try:
            context = context_api.get_current()
            unsampled = bool(context.get(UNSAMPLED))
            if not (unsampled or is_http_instrumentation_enabled()) or self.excluded.url_disabled(url):
                return None
            if unsampled:
                return Outgoing(None, context)
            from tracebaton_configurator.propagation.upstream_semconv import of_call

            parts = urlsplit(url)
            name, attributes = of_call(method, url, parts.hostname, parts.port)
            self._tracer = self._tracer or trace.get_tracer("tracebaton")
            span = self._tracer.start_span(name, kind=SpanKind.CLIENT, attributes=attributes)
            return Outgoing(span, set_span_in_context(span, context))
        except Exception as error:  # noqa: BLE001 (the application's call is made as it is)
            report_error("The span of a call could not be made", error)
            return None
