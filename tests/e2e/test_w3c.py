"""A traced service passes the W3C's validation suite, whether its requests are sampled or not."""

from __future__ import annotations

import http.client
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import launching
import pytest
from harness import TRACED

sys.path.insert(0, str(Path(__file__).parents[1] / "configurator" / "propagation" / "w3c"))

from w3c_suite import CASES, Headers, judge

if TYPE_CHECKING:
    from harness import System


@pytest.mark.parametrize("sampler", ["always_on", "always_off"])
def test_all_41_cases_pass(system: System, sampler: str) -> None:
    port = system.free_port()
    command = [*TRACED, "uvicorn", "w3c_app:app", "--port", str(port)]
    environ = {"OTEL_TRACES_SAMPLER": sampler, "PORT": str(port), "OTEL_TRACES_EXPORTER": "none"}
    service = launching.start(system, "w3c", command, env=environ)
    service.url = f"http://127.0.0.1:{port}"
    launching.wait_until_ready(service)

    def call(headers: Headers, count: int) -> list[dict[str, str]]:
        # http.client sends duplicates, tabs and capitals as they are; httpx would not.
        connection = http.client.HTTPConnection(urlsplit(service.url).netloc, timeout=20)
        connection.putrequest("GET", f"/calls/{count}")
        for name, value in headers:
            connection.putheader(name, value)
        connection.endheaders()
        response = connection.getresponse()
        body: list[dict[str, str]] = json.loads(response.read())
        connection.close()
        return body

    failures = {case: [one for exchange in CASES[case] for one in judge(exchange, call)] for case in CASES}
    assert {case: found for case, found in failures.items() if found} == {}
    assert len(failures) == 41
