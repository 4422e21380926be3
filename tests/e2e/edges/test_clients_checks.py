"""What clients are seldom asked to do: nothing leaks, nothing is lost, and what the application sees is as without."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest
from edge_services import serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from edge_services import Edge

    from tracebaton.view.spans import Span

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture(scope="module")
def url(module_edge: Edge) -> Iterator[str]:
    """Requests to `/headers` are excluded, for requests and for httpx."""
    _, peer = serve(module_edge, "peer", "peer:app")
    excluded = {f"OTEL_PYTHON_{name}_EXCLUDED_URLS": "/headers" for name in ("HTTPX", "REQUESTS")}
    _, made = serve(module_edge, "agent", "clients_checks:app", PEER=peer, OTEL_TRACES_SAMPLER_ARG="*=1", **excluded)
    return made


@pytest.fixture(params=[True, False], ids=["sampled", "unsampled"])
def ask(request: pytest.FixtureRequest, url: str) -> Callable[[str], Any]:
    """The answer to a request that is a part of a trace."""
    headers = {"traceparent": f"00-{TRACE}-{PARENT}-{'01' if request.param else '00'}"}

    def get(path: str) -> Any:
        answer = httpx.get(f"{url}/{path}", headers=headers, timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.json()

    return get


@pytest.mark.parametrize("path", ["headers", "away"])
@pytest.mark.parametrize("check", ["excluded", "excluded_over_transport"])
def test_what_one_client_excludes_the_one_below_does_not_send(ask: Callable[[str], Any], check: str, path: str) -> None:
    assert ask(f"{check}/{path}") == ""


@pytest.mark.parametrize("check", ["excluded", "excluded_over_transport"])
def test_what_is_not_excluded_is_sent(ask: Callable[[str], Any], check: str) -> None:
    assert TRACE in ask(f"{check}/other")


def test_what_the_application_suppresses_is_not_sent(ask: Callable[[str], Any]) -> None:
    assert ask("suppressed/") == ""
    assert ask("suppressed_websocket/") == '{"traceparent":""}'


def test_a_header_of_the_applications_is_not_doubled(ask: Callable[[str], Any]) -> None:
    assert ask("own_baggage/") == '["mine=2"]'


def test_what_is_wrong_is_said_as_without_tracing(ask: Callable[[str], Any]) -> None:
    assert ask("nonsense/") == "ValueError: unknown url type: 'nonsense'"
    assert ask("missing/") == 404


def test_what_httpx_is_told_to_leave_its_transports_leave(ask: Callable[[str], Any]) -> None:
    found = ask("uninstrumented/")
    assert TRACE in found  # by requests, below


def of_trace(module_edge: Edge, trace_id: str, count: int) -> Sequence[Span]:
    received = module_edge.spans(lambda spans: sum(span.trace_id == trace_id for span in spans) >= count)
    return [span for span in received if span.trace_id == trace_id]


def test_an_application_in_the_same_process_is_traced(module_edge: Edge, url: str) -> None:
    trace_id = f"{1:032x}"
    headers = {"traceparent": f"00-{trace_id}-{PARENT}-01"}
    assert httpx.get(f"{url}/in_process/", headers=headers).json() == ""  # the last call is to what is excluded
    spans = of_trace(module_edge, trace_id, 3)
    assert {(span.kind, span.name) for span in spans} >= {("SERVER", "GET /{check}/{path:path}"), ("CLIENT", "GET")}
    assert any(span.name == "GET /in" for span in spans)


def test_only_what_goes_to_a_service_has_a_span(module_edge: Edge, url: str) -> None:
    trace_id = f"{2:032x}"
    headers = {"traceparent": f"00-{trace_id}-{PARENT}-01"}
    assert httpx.get(f"{url}/data/", headers=headers).json() == "private"
    assert httpx.get(f"{url}/missing/", headers=headers).json() == 404
    spans = of_trace(module_edge, trace_id, 4)
    (call,) = [span for span in spans if span.kind == "CLIENT"]
    assert (call.attributes["http.status_code"], call.status) == (404, "ERROR")
