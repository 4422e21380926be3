"""The lines that a server writes about a request, its access log and its report of an exception, have the ids of it."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from harness import TRACED
from log_lines import APPS, ids_in, objects, printed
from processes import HOST, wait_for

if TYPE_CHECKING:
    from harness import System

# See the Makefile.
DAPHNE = Path(sys.prefix, "servers", "daphne")
GRANIAN = ("granian", "--interface", "asgi", "--access-log", "--host", HOST, "servers_app:app", "--port")
HYPERCORN = ("hypercorn", "--access-logfile", "-", "--error-logfile", "-", "servers_app:app", "--bind")
SERVERS = {
    "granian": (*GRANIAN, "{port}"),
    "granian, asyncio": (*GRANIAN, "{port}", "--loop", "asyncio", "--task-impl", "asyncio"),
    "hypercorn": (*HYPERCORN, HOST + ":{port}"),
    "hypercorn, uvloop": (*HYPERCORN, HOST + ":{port}", "--worker-class", "uvloop"),
    "daphne": (sys.executable, "-m", "daphne", "-b", HOST, "-p", "{port}", "servers_app:app"),
}
EXCEPTIONS = {
    "granian": "Application callable raised an exception",
    "hypercorn": "Error in ASGI Framework",
    "daphne": "Exception inside application: /fail",
}
COUNT = 12


def served(system: System, server: str, **environ: str) -> list[dict[str, Any]]:
    """What the process printed that has served them all, several at a time and over connections that stay open."""
    name, port = server.partition(",")[0], system.free_port()
    if name == "daphne":
        if not DAPHNE.is_dir():
            pytest.skip("DAPHNE IS NOT INSTALLED HERE")
        environ["PYTHONPATH"] = str(DAPHNE)
    elif find_spec(name) is None:
        pytest.skip(f"{name.upper()} IS NOT INSTALLED HERE")
    command = [*TRACED, *(part.format(port=port) for part in SERVERS[server])]
    variables = {"OTEL_SERVICE_NAME": name, "OTEL_TRACES_EXPORTER": "none", **environ}
    system.start(name, command, env=variables, cwd=APPS).wait_for_ports(port)
    system.agents.append(name)
    asyncio.run(ask(f"http://{HOST}:{port}"))
    wait_for(lambda: any(EXCEPTIONS[name] in line for line in printed(system, name)), 10, 0.1)
    system.stop_agents()
    return objects([line for line in printed(system, name) if line.startswith("{")])


async def ask(url: str) -> None:
    async with httpx.AsyncClient(base_url=url, limits=httpx.Limits(max_connections=4)) as client:
        await asyncio.gather(*(client.get(f"/work/{number}") for number in range(COUNT)))
        assert (await client.get("/fail")).status_code == 500


@pytest.mark.parametrize("rate", ["1", "0"])
@pytest.mark.parametrize("server", SERVERS)
def test_they_have_the_ids(system: System, server: str, rate: str) -> None:
    lines = served(system, server, OTEL_TRACES_SAMPLER_ARG=rate)
    name = server.partition(",")[0]
    traces = {}
    for path in (*(f"/work/{number}" for number in range(COUNT)), "/fail"):
        own = [line for line in lines if line["message"].startswith(f"{path} ")]
        (access,) = [line for line in lines if re.search(rf'GET {path}[ "]', line["message"])]
        assert access["logger"] == f"{name}.access"
        assert ids_in(access) == ids_in(own[0])
        assert len(ids_in(access)) == 3
        traces[path] = access["trace_id"]
    assert len(set(traces.values())) == COUNT + 1
    failed = [line for line in lines if EXCEPTIONS[name] in line["message"]]
    assert {line["trace_id"] for line in failed} == {traces["/fail"]}
    for line in lines:
        if "/" not in line["message"]:
            assert ids_in(line) == {} or line in failed, line


def test_daphne_writes_text_where_the_application_has_its_formats(system: System) -> None:
    served(system, "daphne", OTEL_TRACEBATON_LOGS="inject")
    assert [line for line in printed(system, "daphne") if line.endswith('"GET /fail" 500 21')]


def test_daphne_writes_text_to_a_file(system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SERVERS, "daphne", (*SERVERS["daphne"], "--access-log", str(tmp_path / "log")))
    lines = served(system, "daphne")
    assert not [line for line in lines if line["logger"] == "daphne.access"]
    written = (tmp_path / "log").read_text()
    assert len(written.splitlines()) == COUNT + 1
    with pytest.raises(ValueError, match="Extra data|Expecting value"):
        json.loads(written.splitlines()[0])
