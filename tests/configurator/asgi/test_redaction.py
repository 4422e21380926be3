"""What stands in a URL to open something is not exported."""

from __future__ import annotations

import pytest

from tracebaton_configurator.asgi.span_attributes import without_secrets


@pytest.mark.parametrize("name", ["AWSAccessKeyId", "Signature", "sig", "X-Goog-Signature"])
def test_secrets_in_the_query_are_redacted(name: str) -> None:
    attributes = without_secrets({"url.query": f"a=1&{name}=SECRET", "url.path": "/x"})
    assert attributes["url.query"] == f"a=1&{name}=REDACTED"
    assert attributes["url.path"] == "/x"


@pytest.mark.parametrize("query", ["", "a=1&b=%20", "no pairs", "a=1;b=2", "\udc80"])
def test_other_queries_stay_as_they_are(query: str) -> None:
    assert without_secrets({"url.query": query}) == {"url.query": query}
