"""What stands in a URL to open something reaches no exporter, on any path, from a real server."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import httpx
import pytest
import websockets
from launching import APPS, delivered
from processes import wait_for

if TYPE_CHECKING:
    from harness import System

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJodXNoIjoxfQ.aHVzaA"  # noqa: S105 (it opens nothing)
SECRETS = ("hush", TOKEN)


async def greet(url: str) -> str:
    async with websockets.connect(f"{url.replace('http://', 'ws://')}/ws?token={TOKEN}&room=1") as socket:
        return str(await socket.recv())


@pytest.mark.parametrize("convention", ["", "http/dup"])
@pytest.mark.parametrize("instrumented", ["by contrib", "by FastAPI", "kept", "counted"])
def test_no_exporter_gets_them(system: System, instrumented: str, convention: str) -> None:
    port, own = system.free_port(), system.directory / "own-spans"
    url = f"http://127.0.0.1:{port}"
    environ = {
        "OTEL_SERVICE_NAME": "shop",
        "OTEL_EXPORTER_OTLP_ENDPOINT": system.grpc_endpoint,
        "OTEL_TRACES_EXPORTER": "otlp,console",
        "OTEL_TRACES_SAMPLER": "always_off" if instrumented == "kept" else "always_on",
        "OTEL_TRACEBATON_REDACT": "iban",
        "OTEL_SEMCONV_STABILITY_OPT_IN": convention,
        "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST": "authorization"
        if instrumented == "counted"
        else "",
        "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "fastapi" if instrumented == "by FastAPI" else "",
        "OWN_SPANS": str(own),
        "SELF": url,
        "PYTHONPATH": str(APPS),
    }
    if instrumented == "counted":  # upstream's middleware sees every request then
        environ["OTEL_METRICS_EXPORTER"] = "console"
    command = ["tracebaton", "run", "uvicorn", "secrets_app:app", "--port", str(port), "--no-access-log"]
    child = system.start("shop", command, env=environ, cwd=APPS)
    child.wait_for_ports(port)
    headers = {"authorization": "Bearer hush-header"}
    assert httpx.get(f"{url}/ok?sig=hush-1&q=1&access_token=hush%26hush-2", headers=headers).status_code == 200
    assert asyncio.run(greet(url)) == TOKEN
    assert httpx.get(f"{url}/call?password=hush-3", headers=headers).status_code == 500
    system.agents.append("shop")
    system.stop_agents()
    spans = delivered(system, "shop")
    if instrumented == "kept":
        assert sorted(span["kind"] for span in spans) == ["CLIENT", "SERVER"]
    else:
        assert wait_for(lambda: len(delivered(system, "shop", kind="SERVER")) == 4, 10)
        assert delivered(system, "shop", kind="CLIENT")
    exported = {"otlp": json.dumps(spans), "own": own.read_text(), "console": child.stdout.read_text()}
    for name, text in exported.items():
        assert "REDACTED" in text, name
        # The application's log quotes what its exception says; a span does not.
        of_spans = text if name != "console" else "\n".join(one for one in text.splitlines() if "Traceback" not in one)
        assert [one for one in SECRETS if one in of_spans] == [], name


def test_a_long_query_costs_little_and_is_cut(system: System) -> None:
    port = system.free_port()
    environ = {
        "OTEL_SERVICE_NAME": "shop",
        "OTEL_EXPORTER_OTLP_ENDPOINT": system.grpc_endpoint,
        "OTEL_TRACES_SAMPLER": "always_on",
        "OWN_SPANS": "/dev/null",
        "PYTHONPATH": str(APPS),
    }
    child = system.start(
        "shop", ["tracebaton", "run", "uvicorn", "secrets_app:app", "--port", str(port)], env=environ, cwd=APPS
    )
    child.wait_for_ports(port)
    query = "token=hush&" + "a=1&" * 12_000
    assert httpx.get(f"http://127.0.0.1:{port}/ok?{query}").status_code == 200
    system.agents.append("shop")
    system.stop_agents()
    (span,) = delivered(system, "shop", kind="SERVER")
    recorded = span["attributes"]["http.url"]
    assert "token=REDACTED&a=1&" in recorded
    assert len(recorded) < 5_000
