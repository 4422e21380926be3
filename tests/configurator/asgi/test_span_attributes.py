"""The attributes that are remembered for requests that come often: upstream's own, and never too many."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from rawasgi import http_scope, send

from tracebaton_configurator.asgi import span_attributes

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest


def test_clients_without_number_are_not_all_remembered(
    behind: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(span_attributes, "_KEPT", 5)
    app = FastAPI()
    app.add_api_route("/", lambda: "served")
    made = behind("*=1")
    made.put_on(app)
    sizes = []
    for number in range(20):
        answer = asyncio.run(send(app, http_scope(headers=[(b"user-agent", b"agent-%d" % number)])))
        assert answer.status == 200
        sizes.append(len(app.middleware_stack._details._known))  # type: ignore[union-attr]
    assert max(sizes) == 5
    assert [span.attributes["http.user_agent"] for span in made.spans] == [f"agent-{number}" for number in range(20)]
