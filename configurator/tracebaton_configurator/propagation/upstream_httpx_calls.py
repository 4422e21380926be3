"""What OpenTelemetry's instrumentation of httpx works out anew for each call, in fewer steps.

Upstream decides what is said of a call: each answer here is one that its own function has given for the same address,
or for the same status code. It takes a URL apart and puts it together five times a call, and a list of all headers for
those that hardly anybody captures. Where headers are captured, upstream does all of it.
Checked with opentelemetry-instrumentation-httpx 0.63b0 to 0.66b2 and httpx 0.28.
"""

from __future__ import annotations

import sys
from functools import lru_cache, wraps
from typing import TYPE_CHECKING, Any

from opentelemetry import propagate
from opentelemetry.instrumentation.utils import _SUPPRESS_INSTRUMENTATION_KEY_PLAIN as SUPPRESS_PLAINLY
from opentelemetry.propagators.textmap import Setter

from tracebaton_configurator.logs.upstream import get_current
from tracebaton_configurator.patching.registry import put
from tracebaton_configurator.sampling.said import Said
from tracebaton_configurator.sampling.upstream import SUPPRESS_HTTP_INSTRUMENTATION, SUPPRESS_INSTRUMENTATION

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.trace import Span

_MOST_KNOWN = 256
_LONGEST_PATH = 512
_DEFAULT_PORTS = (21, 80, 443)
_MODULES = ("httpx", "httpx2")

Attributes = dict[str, Any]


def remember_calls() -> None:
    """For the patch `httpx-attributes`. An AttributeError where something is not there."""
    import opentelemetry.instrumentation.httpx as upstream

    if hasattr(upstream._extract_parameters, "__wrapped__"):  # noqa: SLF001 (httpx2 is instrumented, too)
        return
    modules = [module for name in _MODULES if (module := sys.modules.get(name)) is not None]
    kinds = _Kinds(modules)
    replacements: dict[str, Callable[[Any], Any]] = {
        "is_http_instrumentation_enabled": lambda _: _is_enabled,
        "_get_default_span_name": lru_cache(64),
        "_extract_parameters": kinds.extracting,
        "_inject_propagation_headers": kinds.injecting,
        "_apply_request_client_attributes_to_span": _remembering_request,
        "_apply_response_client_attributes_to_span": _remembering_answer,
        "_apply_response_client_attributes_to_metrics": _remembering_metrics,
    }
    for name, make in replacements.items():
        original = getattr(upstream, name)
        put(upstream, name, wraps(original)(make(original)))
    for kind in vars(upstream).values():
        for name in ("_handle_request_wrapper", "_handle_async_request_wrapper"):
            if isinstance(kind, type) and name in vars(kind):
                original = getattr(kind, name)
                put(kind, name, staticmethod(wraps(original)(_passing(original))))


def _passing(original: Callable[..., Any]) -> Callable[..., Any]:
    def handle(wrapped: Callable[..., Any], instance: Any, args: Any, kwargs: Any, **options: Any) -> Any:
        """What is suppressed takes no way through upstream's function, which would do nothing."""
        if get_current().get(SUPPRESS_INSTRUMENTATION):
            return wrapped(*args, **kwargs)
        # An empty list is true, and would have the text of each URL put together.
        if not getattr(options.get("excluded_urls"), "_excluded_urls", True):
            options["excluded_urls"] = None
        return original(wrapped, instance, args, kwargs, **options)

    return handle


def _is_enabled() -> bool:
    """`is_http_instrumentation_enabled`, which gets the current context three times."""
    context = get_current()
    return not (
        context.get(SUPPRESS_INSTRUMENTATION)
        or context.get(SUPPRESS_PLAINLY)
        or context.get(SUPPRESS_HTTP_INSTRUMENTATION)
    )


class _Kinds:
    """The classes of the libraries that upstream instruments."""

    def __init__(self, modules: list[Any]) -> None:
        self._requests = frozenset(module.Request for module in modules)
        self._urls = frozenset(module.URL for module in modules)
        self._headers = frozenset(module.Headers for module in modules)

    def extracting(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def extract(args: tuple[Any, ...], *others: Any) -> Any:
            """With the request's own URL, which cannot be changed, in the place of one made of its text."""
            request = args[0]
            if request.__class__ in self._requests:
                url = request.url
                # Taken apart once more, `HTTP://a:80` loses its port, too.
                if url.__class__ in self._urls and url.port not in _DEFAULT_PORTS:
                    return request.method.encode(), url, request.headers, request.stream, request.extensions
            return original(args, *others)

        return extract

    def injecting(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def inject(headers: Any, args: tuple[Any, ...], *others: Any) -> None:
            """Into the request's headers, which are its own, and not into a copy that replaces them."""
            request = args[0]
            if request.__class__ in self._requests and headers.__class__ in self._headers:
                propagate.inject(headers, setter=HEADERS)
            else:
                original(headers, args, *others)

        return inject


class _HeadersSetter(Setter[Any]):
    """As the default one; `Headers.__setitem__` looks for the name among all in three passes."""

    def set(self, carrier: Any, key: str, value: str) -> None:
        try:
            name = key.encode("ascii")
            lower = name.lower()
            there = carrier._list  # noqa: SLF001 (pairs as `raw` gives them, with the name in lower case between)
            for one in there:
                if one[1] == lower:
                    carrier[key] = value
                    return
            there.append((name, lower, value.encode("ascii")))
        except (AttributeError, UnicodeError):
            carrier[key] = value


HEADERS = _HeadersSetter()


def _remembering_request(original: Callable[..., Any]) -> Callable[..., Any]:
    known: dict[tuple[Any, ...], tuple[Attributes, Attributes]] = {}

    def apply(span: Attributes, metrics: Attributes, url: Any, method: str, semconv: Any, *others: Any) -> None:
        # The module, where there is one, headers, names of those that are captured, of those that are hidden.
        if len(others) < 3 or others[-2]:
            original(span, metrics, url, method, semconv, *others)
            return
        its = getattr(url, "_uri_reference", None)
        # What there may be secrets in, and hardly comes again, is not kept.
        if its is None or its.query is not None or its.userinfo or its.fragment or len(its.path) > _LONGEST_PATH:
            original(span, metrics, url, method, semconv, *others[:-3])
            return
        key = (its, method, semconv)
        found = known.get(key)
        if found is None:
            found = {}, {}
            original(*found, url, method, semconv, *others[:-3])
            if len(known) >= _MOST_KNOWN:
                known.clear()
            known[key] = found
        span.update(found[0])
        metrics.update(found[1])

    return apply


def _remembering_answer(original: Callable[..., Any]) -> Callable[..., Any]:
    @lru_cache(_MOST_KNOWN, typed=True)
    def said_of(*answer: Any) -> Said:
        said = Said()
        original(said, *answer)
        return said

    def apply(span: Span, status_code: int, version: str, semconv: Any, *others: Any) -> None:
        if len(others) < 3 or others[-2]:
            original(span, status_code, version, semconv, *others)
        else:
            said_of(status_code, version, semconv, *others[:-3]).say(span)

    return apply


def _remembering_metrics(original: Callable[..., Any]) -> Callable[..., Any]:
    @lru_cache(_MOST_KNOWN, typed=True)
    def said_of(*answer: Any) -> tuple[Said, Attributes]:
        said = Said()
        attributes: Attributes = {}
        original(said, attributes, *answer)
        return said, attributes

    def apply(span: Span, metrics: Attributes, *answer: Any) -> None:
        said, attributes = said_of(*answer)
        metrics.update(attributes)
        if span.is_recording():
            said.say(span)

    return apply
