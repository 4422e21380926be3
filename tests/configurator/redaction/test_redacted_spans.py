"""Whoever makes a span, and whoever gets it: what is secret is hidden in all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanContext, Status, StatusCode

from tracebaton_configurator.redaction import spans as module
from tracebaton_configurator.redaction.spans import RedactingSpanProcessor
from tracebaton_configurator.redaction.upstream import install_for_asgi, with_redacted_query

if TYPE_CHECKING:
    from collections.abc import Callable

URL = "http://me:hush@h/p?token=hush&a=1"
LEFT = "http://REDACTED:REDACTED@h/p?token=REDACTED&a=1"


class Watching(SpanProcessor):
    """Sees what a processor of somebody else's sees."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def on_end(self, span: ReadableSpan) -> None:
        self.seen.append(span.to_json())


def made(make: Callable[[Any], None]) -> tuple[ReadableSpan, str]:
    """The one span that `make` fills, as exporters get it; and all of it as another processor sees it."""
    memory, watching = InMemorySpanExporter(), Watching()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(RedactingSpanProcessor())
    provider.add_span_processor(SimpleSpanProcessor(memory))
    provider.add_span_processor(watching)
    link = Link(SpanContext(1, 2, is_remote=True), {"from": URL})
    span = provider.get_tracer("test").start_span(f"GET {URL}", links=[link], attributes={"url.full": URL})
    make(span)
    span.end()
    (found,) = memory.get_finished_spans()
    return found, watching.seen[0]


def fill(span: Any) -> None:
    span.set_attribute("http.url", f"{URL}'hush it\"")
    span.set_attributes({"url.query": "token=hush", "http.target": "/ws?token=hu sh", "number": 1, "none": "a=b@c"})
    span.set_attribute("urls", [URL, "plain"])
    span.set_attribute("http.request.header.authorization", ["Bearer hush"])
    span.set_attribute("http.response.header.set_cookie", ["sid=hush", "a=hush"])
    span.set_attribute("http.request.header.x_request_id", ["7"])
    span.add_event("called", {"url": URL})
    try:
        raise ValueError(f"for url '{URL}'")
    except ValueError as error:
        span.record_exception(error)
    span.set_status(Status(StatusCode.ERROR, f"ValueError: for url '{URL}'"))


def test_every_part_of_a_span() -> None:
    span, seen = made(fill)
    assert span.name == f"GET {LEFT}"
    attributes = dict(span.attributes or {})
    assert attributes == {
        "url.full": LEFT,
        "http.url": "http://REDACTED:REDACTED@h/p?token=REDACTED&a=1'hush it\"",
        "url.query": "token=REDACTED",
        "http.target": "/ws?token=REDACTED",
        "number": 1,
        "none": "a=b@c",
        "urls": (LEFT, "plain"),
        "http.request.header.authorization": ("REDACTED",),
        "http.response.header.set_cookie": ("REDACTED", "REDACTED"),
        "http.request.header.x_request_id": ("7",),
    }
    assert span.status.description == f"ValueError: for url '{LEFT}'"
    assert dict(span.links[0].attributes or {}) == {"from": LEFT}
    called, raised = span.events
    assert dict(called.attributes or {}) == {"url": LEFT}
    assert (raised.attributes or {})["exception.message"] == f"for url '{LEFT}'"
    assert "hush" not in seen.replace("a=1'hush it", "")


def test_a_span_without_secrets_stays_as_it_is() -> None:
    attributes = {"url.full": "http://h/p?a=1&b=%20", "note": "1 = 2 @ 3", "n": 1.5, "l": ["a=b", "c"], "t": (True,)}

    def make(span: Any) -> None:
        span.set_attributes(attributes)
        span.add_event("nothing")

    span, _ = made(make)
    assert dict(span.attributes or {}) == {
        name: tuple(one) if isinstance(one, list) else one for name, one in attributes.items()
    }


def test_it_never_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(module.diagnostics, "report", lambda _, line: said.append(line))
    module.redact(object())
    assert said == ["A span could not be searched for secrets: AttributeError"]


def test_upstreams_own_functions() -> None:
    """As the middleware and the clients call them; a value with an encoded `&` is not cut in two."""
    from opentelemetry.instrumentation import asgi
    from opentelemetry.util.http import redact_url

    install_for_asgi()
    install_for_asgi()
    assert redact_url(URL) == LEFT
    assert len(redact_url("http://h/?" + "a=1&" * 15_000)) < 5_000
    scope = {
        "type": "websocket",
        "path": "/ws",
        "scheme": "ws",
        "headers": [(b"host", b"h")],
        "query_string": b"token=hush%26more&a=1",
    }
    attributes = asgi.collect_request_attributes(scope)
    assert attributes["http.url"] == "ws://h/ws?token=REDACTED&a=1"
    assert scope["query_string"] == b"token=hush%26more&a=1", "the application's own"


@pytest.mark.parametrize(
    ("query", "left"),
    [(b"", b""), (b"\xff=1&key=\xff", b"\xff=1&key=REDACTED"), ("key=1", "key=REDACTED"), (None, None), (7, b"")],
)
def test_the_query_of_a_scope(query: Any, left: Any) -> None:
    assert with_redacted_query({"query_string": query})["query_string"] == left
    assert with_redacted_query({}) == {}


def test_a_processor_of_the_applications_gets_what_has_begun_without_secrets() -> None:
    """Some export spans when they begin."""
    from types import SimpleNamespace

    from tracebaton_configurator.coexist.exporters import SharedSpans, processors_of

    begun: list[dict[str, Any]] = []

    class AtStart(SpanProcessor):
        def on_start(self, span: Any, parent_context: Any = None) -> None:
            begun.append(dict(span.attributes))

    theirs = TracerProvider(shutdown_on_exit=False)
    theirs.add_span_processor(AtStart())
    ours = TracerProvider(shutdown_on_exit=False)
    SharedSpans(ours, SimpleNamespace(traces_exporters=(), endpoint="")).add(processors_of(theirs))  # type: ignore[arg-type]
    ours.get_tracer("test").start_span("x", attributes={"url.full": URL}).end()
    assert begun == [{"url.full": LEFT}]
