"""Applications that have telemetry of their own: no span twice, no provider stolen, one line that says who leads."""

from __future__ import annotations

import http.server
import json
import signal
import sys
import threading
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import launching
import pytest
from harness import TRACED
from launching import delivered
from log_lines import APPS, start
from processes import HOST, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness import System

# See the Makefile.
COMPANY = Path(sys.prefix, "company")
IN_CHARGE = "The application sets up a TracerProvider of its own: tracebaton, which was there first, stays in charge"


def needs(name: str, package: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(
        not (COMPANY / name / package).is_dir(),
        reason=f"{name} is not there: an application that uses it was NOT tested",
    )


def said(system: System, name: str) -> list[tuple[str, str]]:
    """Level and message of what this project has said."""
    return [(line["level"], line["message"]) for line in system.logs(name) if line["logger"] == "tracebaton"]


def names_of(spans: list[dict[str, Any]]) -> Counter[str]:
    return Counter(span["name"] for span in spans)


class TestItsOwnSetUp:
    def start(self, system: System, rate: str, **environ: str) -> str:
        spans = {"COMPANY_SPANS": str(system.directory / "own-spans"), "OTEL_TRACES_SAMPLER_ARG": rate, **environ}
        return start(system, "shop", "company_setup", TRACED, **spans)

    def own(self, system: System) -> Counter[str]:
        """The spans that the application's own backend has got."""
        return Counter(json.loads(line)["name"] for line in (system.directory / "own-spans").open())

    def test_both_backends_get_every_span_once_and_its_arguments_hold(self, system: System) -> None:
        url = self.start(system, "1")
        trace_id = httpx.get(f"{url}/work/1").json()["trace_id"]
        httpx.get(f"{url}/quiet")
        system.stop_agents()
        spans = delivered(system, "shop")
        # /quiet is what the application excludes, and the hook is its own.
        assert names_of(spans) == {"GET /work/{number}": 1, "of the global provider": 1}
        assert [span["attributes"].get("company.hook") for span in spans if span["kind"] == "SERVER"] == ["called"]
        # The application's exporter sends to the same Collector: what is its alone, and nothing twice.
        assert names_of(delivered(system, "called-by-itself")) == {"of its own provider": 1}
        assert {span["trace_id"] for span in delivered(system, "called-by-itself")} == {trace_id}
        assert self.own(system) == {
            "GET /work/{number}": 1, "of the global provider": 1, "of its own provider": 1
        }  # fmt: skip

    def test_one_line_for_each_says_who_is_in_charge(self, system: System) -> None:
        self.start(system, "1")
        start_line, tracers, meters = said(system, "shop")
        assert start_line[1].startswith("Tracing is on")
        assert tracers == (
            "WARNING",
            f"{IN_CHARGE}, samples, and hands what it records to the application's exporters too, except to one that "
            "sends to where tracebaton sends. Started without tracebaton, it traces by itself alone.",
        )
        assert meters == (
            "INFO",
            "The application sets up a MeterProvider of its own: unsampled requests take upstream's path, because "
            "metrics count every request.",
        )

    @pytest.mark.parametrize("rate", ["0", "1"])
    def test_its_metrics_count_every_request(self, system: System, rate: str) -> None:
        url = self.start(system, rate)
        with httpx.Client(base_url=url) as client:
            for _ in range(20):
                client.get("/work/7")
            assert client.get("/counted").json()["/work/{number}"] == 20
            trace_id = client.get("/work/8").json()["trace_id"]
        system.stop_agents()
        assert len(delivered(system, "shop", kind="SERVER")) == (22 if rate == "1" else 0)
        # One that is not recorded has its identity all the same.
        (line,) = [line for line in system.logs("shop") if line["message"] == "working on 8"]
        assert (line["trace_id"], line["trace_flags"]) == (trace_id, f"0{rate}")
        assert trace_id != "0" * 32

    def test_strangers_are_not_trusted_there_either(self, system: System) -> None:
        url = self.start(system, "1", OTEL_TRACEBATON_TRUST_PARENT="false")
        claimed = "0af7651916cd43dd8448eb211c80319c"
        header = {"traceparent": f"00-{claimed}-b7ad6b7169203331-00"}
        httpx.get(f"{url}/work/1", headers=header)
        system.stop_agents()
        (server,) = delivered(system, "shop", kind="SERVER")
        assert server["trace_id"] != claimed
        assert [link["trace_id"] for link in server["links"]] == [claimed]

    @needs("logging", "opentelemetry/instrumentation/logging")
    def test_its_log_correlation_and_ours_agree(self, system: System) -> None:
        url = self.start(system, "1", COMPANY_LOGGING="1", PYTHONPATH=str(COMPANY / "logging"))
        trace_id = httpx.get(f"{url}/work/1").json()["trace_id"]
        (line,) = [line for line in system.logs("shop") if line["logger"] == "app"]
        assert line["trace_id"] == trace_id
        assert line["message"] == "working on 1"
        assert line.get("otelTraceID", trace_id) == trace_id

    def test_switched_off_it_is_the_applications_alone(self, system: System) -> None:
        url = self.start(system, "1", OTEL_SDK_DISABLED="true")
        # The SDK knows that variable itself, so an application's own provider makes no spans under it either.
        assert httpx.get(f"{url}/work/1").json()["trace_id"] == "0" * 32
        assert "Tracing is off: OTEL_SDK_DISABLED=true." in system.children["shop"].output()


@needs("logfire", "logfire")
def test_beside_logfire(system: System) -> None:
    # logfire reads these variables as well, and exports over HTTP only.
    endpoint = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": system.http_endpoint,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "PYTHONPATH": str(COMPANY / "logfire"),
    }
    url = start(system, "shop", "company_logfire", TRACED, **endpoint)
    trace_id = httpx.get(f"{url}/work").json()["trace_id"]
    system.stop_agents()
    spans = delivered(system, "shop")
    assert names_of(spans) == {"GET /work": 1, "of logfire": 1, "of the application": 1}
    assert {span["trace_id"] for span in spans} == {trace_id}
    assert [line for level, line in said(system, "shop") if level in ("WARNING", "ERROR")] == [
        f"{IN_CHARGE}, samples, and hands what it records to the application's exporters too, except to one that "
        "sends to where tracebaton sends. Started without tracebaton, it traces by itself alone."
    ]


@contextmanager
def sentry() -> Iterator[tuple[str, list[bytes]]]:
    """A place that takes what Sentry's SDK sends: its DSN, and the bodies that came."""
    bodies: list[bytes] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with http.server.ThreadingHTTPServer((HOST, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://key@{HOST}:{server.server_port}/1", bodies
        server.shutdown()
        thread.join()


@needs("sentry", "sentry_sdk")
def test_beside_sentry(system: System) -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with sentry() as (dsn, bodies):
        url = start(system, "shop", "company_sentry", TRACED, PYTHONPATH=str(COMPANY / "sentry"), COMPANY_DSN=dsn)
        assert httpx.get(f"{url}/work", headers={"traceparent": parent}).json() == "done"
        assert httpx.get(f"{url}/fail").status_code == 500
        system.stop_agents()
        assert wait_for(lambda: bodies, 10)
    servers = delivered(system, "shop", kind="SERVER")
    assert names_of(servers) == {"GET /work": 1, "GET /fail": 1}
    assert [span["trace_id"] for span in servers if span["name"] == "GET /work"] == [parent[3:35]]
    assert [level for level, _ in said(system, "shop")] == ["INFO"]


class TestChildren:
    """Programs that the application runs, and its workers."""

    @pytest.mark.parametrize(
        ("children", "arguments"),
        [("true", ("--workers", "2")), ("false", ("--workers", "2")), ("false", ("--reload",))],
    )
    def test_a_tool_is_traced_or_left_alone_and_workers_are_traced(
        self, system: System, children: str, arguments: tuple[str, ...]
    ) -> None:
        service = launching.start(
            system,
            "shop",
            [*TRACED, "uvicorn", "company_tools:app", "--host", HOST, "--port", "{port}", *arguments],
            env={"OTEL_TRACEBATON_CHILDREN": children, "OTEL_TRACES_SAMPLER_ARG": "1", "OTEL_TRACES_SAMPLER": ""},
            directory=APPS,
        )
        launching.wait_until_ready(service)
        service.send(8)
        tool = wait_for(lambda: httpx.get(f"{service.url}/tool", timeout=30).json(), 30)
        service.settle()
        service.end(signal.SIGTERM, group=False)
        launching.wait_until_gone(service)
        traced = delivered(system, "tool")
        if children == "true":
            assert "of the tool" in names_of(traced)
            assert "tracebaton_configurator.startup.begin" in tool["loaded"]
        else:
            assert traced == []
            assert tool == {"loaded": [], "environ": []}
        launching.assert_all_delivered(system, "shop", service.served)
