"""Hands the spans that are recorded here to the span processors of a TracerProvider that came second."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from opentelemetry.sdk.trace import SpanProcessor

from tracebaton_configurator.logs import diagnostics
from tracebaton_configurator.names import is_otlp
from tracebaton_configurator.redaction.spans import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span, TracerProvider

    from tracebaton_configurator.settings import Settings

# Where a processor or an exporter keeps the one that it stands before.
_INSIDE = ("span_exporter", "exporter", "wrapped_exporter", "processor", "wrapped_processor")
_HERE = frozenset(("localhost", "127.0.0.1", "::1"))


def processors_of(provider: Any) -> Any:
    """What holds the processors of an SDK's provider, those that are added later included; None for another kind.

    Both names are private; checked with SDK 1.42.0 to 1.45.2. Others may stand before the SDK's, as logfire's do.
    """
    for _ in range(4):
        active = getattr(provider, "_active_span_processor", None)
        if isinstance(getattr(active, "_span_processors", None), tuple):
            return active
        provider = getattr(provider, "provider", None) or getattr(provider, "tracer_provider", None)
    return None


class SharedSpans(SpanProcessor):
    """A processor of `provider`, put there with the first secondary provider.

    What a secondary processor raises stays here. One that exports to where spans go already gets none, or they would be
    there twice; where others are wrapped up with it, as logfire's are in one, they get none either.
    """

    def __init__(self, provider: TracerProvider, here: Settings) -> None:
        self._provider = provider
        self._host = _host(str(here.endpoint)) if any(is_otlp(name) for name in here.traces_exporters) else ""
        self._console = "console" in here.traces_exporters
        self._guests: list[Any] = []
        self._wanted: dict[int, tuple[Any, bool]] = {}

    def knows(self, processors: Any) -> bool:
        return any(one is processors for one in self._guests)

    def add(self, processors: Any) -> None:
        """Let these (see `processors_of`) have what is recorded from now on."""
        self._guests.append(processors)
        if len(self._guests) == 1:
            self._provider.add_span_processor(self)

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        wanting = list(self._wanting())
        if wanting:
            redact(span)  # some export what has begun, as logfire does
        for processor in wanting:
            _guarded(processor.on_start, span, parent_context)

    def on_end(self, span: ReadableSpan) -> None:
        for processor in self._wanting():
            _guarded(processor.on_end, span)

    def shutdown(self) -> None:
        """Flush only: the processors are the application's, which may have more to send, and ends them itself."""
        self.force_flush()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Those that get nothing from here as well: nobody else flushes them when a signal ends the process."""
        done = [_guarded(processor.force_flush, timeout_millis) for processor in self._all()]
        return False not in done

    def _all(self) -> Iterator[Any]:
        for processors in self._guests:
            yield from processors._span_processors  # noqa: SLF001 (see `processors_of`)

    def _wanting(self) -> Iterator[Any]:
        for processor in self._all():
            # Kept with its processor, so that the id stays that one's.
            known = self._wanted.get(id(processor))
            if known is None:
                known = self._wanted[id(processor)] = (processor, not self._goes_where_ours_go(processor))
            if known[1]:
                yield processor

    def _goes_where_ours_go(self, processor: Any) -> bool:
        exporters = list(_exporters_in(processor))
        if any(type(exporter).__name__ == "ConsoleSpanExporter" for exporter in exporters):
            return self._console
        endpoints = [getattr(exporter, "_endpoint", None) for exporter in exporters]
        return bool(self._host) and self._host in [_host(one) for one in endpoints if isinstance(one, str)]


def _exporters_in(part: Any, depth: int = 8) -> Iterator[Any]:
    """The exporters of a processor, which others may be wrapped around, as logfire's are; perhaps none is found."""
    several = getattr(part, "_span_processors", ())
    found = [getattr(part, name, None) for name in _INSIDE]
    for inside in [*found, *(several if isinstance(several, tuple) else ())]:
        if depth and inside is not None and not isinstance(inside, (str, int)):
            yield inside
            yield from _exporters_in(inside, depth - 1)


def _host(endpoint: str) -> str:
    """Whose address it is, whatever the port: a Collector has one for each protocol."""
    try:
        host = urlsplit(endpoint if "://" in endpoint else f"//{endpoint}").hostname or ""
    except ValueError:
        return ""
    return "localhost" if host in _HERE else host


def _guarded(call: Callable[..., object], *args: object) -> object:
    try:
        return call(*args)
    except Exception as error:  # noqa: BLE001 (a request must not fail for it)
        diagnostics.report("shared", f"A span processor of the application's failed: {type(error).__name__}: {error}")
        return None
