"""Lets OpenTelemetry's HTTP instrumentations redact what this project does, at once and in little time.

* `opentelemetry.util.http.redact_query_parameters` hides four names, and takes every query apart for them: 31 ms for
  one of 60 KB. What asks for it (`redact_url`) looks it up there, in httpx, requests, urllib, aiohttp and asgi.
* `opentelemetry.instrumentation.asgi.collect_request_attributes` decodes the query before it is redacted, so that a
  secret with an encoded `&` in it is cut in two; and `url.query` is not redacted at all.

Checked with 0.63b0 to 0.66b2. Where a function is missing, upstream does what it does, and `redaction.spans` the rest.
"""

from __future__ import annotations

from functools import wraps
from re import compile as regex
from typing import TYPE_CHECKING, Any

from tracebaton_configurator.redaction.text import LONGEST_QUERY, current

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

_OURS = "_tracebaton_redacts"
_UPSTREAMS = regex(r"(?:AWSAccessKeyId|Signature|sig|X-Goog-Signature)=")


def install_for_urls() -> None:
    """To be called when an instrumentation of an HTTP library is loaded."""
    from opentelemetry.util import http

    def make(original: Callable[[str], str]) -> Callable[[str], str]:
        @wraps(original)
        def redact_query_parameters(url: str) -> str:
            hidden = current().url(url)
            # Upstream puts the query together anew where it finds one of its names; the others would find nothing.
            return original(hidden) if _UPSTREAMS.search(hidden) else hidden

        return redact_query_parameters

    _replace(http, "redact_query_parameters", make)


def install_for_asgi() -> None:
    """To be called when an instrumentation of an ASGI framework is loaded."""
    install_for_urls()
    from opentelemetry.instrumentation import asgi

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def collect_request_attributes(scope: Any, *args: Any, **kwargs: Any) -> Any:
            return original(with_redacted_query(scope), *args, **kwargs)

        return collect_request_attributes

    _replace(asgi, "collect_request_attributes", make)


def with_redacted_query(scope: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The same scope, or a copy whose query string may be recorded. Never raises."""
    query = scope.get("query_string")
    if not query:
        return scope
    if not isinstance(query, (bytes, str)):
        return {**scope, "query_string": b""}
    # Cut before it is decoded; one character more, so that it is seen to have been cut.
    query = query[: LONGEST_QUERY + 1]
    if isinstance(query, str):
        return {**scope, "query_string": current().query(query)}
    return {**scope, "query_string": current().query(query.decode("latin-1")).encode("latin-1")}


def _replace(module: Any, name: str, make: Callable[[Any], Any]) -> None:
    original = getattr(module, name, None)
    if callable(original) and not hasattr(original, _OURS):
        replacement = make(original)
        setattr(replacement, _OURS, True)
        setattr(module, name, replacement)
