"""Rules, and the budget of each endpoint, under `uvicorn --root-path`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
from launching import delivered
from processes import HOST

if TYPE_CHECKING:
    from pathlib import Path

    from harness import System

APPLICATION = """
from {module} import FastAPI

app = FastAPI()

@app.get("/health")
async def health(): ...

for number in range(39):
    @app.get(f"/endpoints/{{number}}/{{{{item}}}}")
    async def endpoint(item: str): ...
"""


@pytest.mark.parametrize("disabled", ["", "fastapi"])
@pytest.mark.parametrize("root_path", ["", "/api"])
def test_rules_and_budgets(system: System, tmp_path: Path, root_path: str, disabled: str) -> None:
    (tmp_path / "rooted.py").write_text(APPLICATION.format(module="fastapi.applications"))
    port = system.free_port()
    environ = {
        "OTEL_SERVICE_NAME": "rooted",
        "OTEL_EXPORTER_OTLP_ENDPOINT": system.grpc_endpoint,
        "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": disabled,  # FastAPI then has telemetry of its own, since 0.142
    }
    command = ["tracebaton", "run", "uvicorn", "rooted:app", "--host", HOST, "--port", str(port)]
    system.start("rooted", [*command, "--root-path", root_path], env=environ, cwd=tmp_path).wait_for_ports(port)
    system.agents.append("rooted")
    with httpx.Client(base_url=f"http://{HOST}:{port}") as client:
        assert client.get("/health").status_code == 200
        for number in range(39):
            assert client.get(f"/endpoints/{number}/x").status_code == 200
    system.stop_agents()
    # FastAPI's own telemetry names the root path, too.
    names = [span["name"].replace("/api", "") for span in delivered(system, "rooted", kind="SERVER")]
    assert sorted(names) == sorted(f"GET /endpoints/{number}/{{item}}" for number in range(39))
