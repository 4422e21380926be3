"""Every application has one SERVER span a request, whichever way it was made, imported or mounted."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).with_name("every_application.py")
# See the Makefile: upstream's instrumentation for Starlette.
OTHERS = Path(sys.prefix, "other-instrumentations")
MADE = ("fastapi_as_usual", "fastapi_by_module", "fastapi_subclass", "starlette_as_usual", "starlette_before")


def run(scene: str, application: str, rules: str, **variables: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "FASTAPI_"))}
    env.update(OTEL_TRACES_EXPORTER="none", OTEL_TRACES_SAMPLER_ARG=rules, PYTHONPATH=str(OTHERS))
    env.update(variables)
    command = [str(Path(sys.executable).with_name("tracebaton")), "run", sys.executable, str(SCRIPT)]
    done = subprocess.run(
        [*command, scene, application], capture_output=True, text=True, timeout=60, check=False, env=env
    )
    assert done.returncode == 0, done.stderr
    return done


@lru_cache
def spans(scene: str, application: str, rules: str = "*=1", *variables: tuple[str, str]) -> list[dict[str, Any]]:
    text = run(scene, application, rules, **dict(variables)).stderr
    (line,) = re.findall(r"(?m)^RESULT (.*)$", text)
    found: list[dict[str, Any]] = json.loads(line)
    return found


def names(found: list[dict[str, Any]]) -> list[str]:
    assert {one["kind"] for one in found} <= {"SERVER"}
    return [one["name"] for one in found]


def status_codes(found: list[dict[str, Any]]) -> list[int | None]:
    return [one["attributes"].get("http.status_code") for one in found]


@pytest.mark.parametrize("scene", ["plain", "mounted", "websockets"])
@pytest.mark.parametrize("rules", ["*=1", "*=0"])
def test_starlette_needs_no_instrumentation_of_upstreams(scene: str, rules: str) -> None:
    """Upstream's is not always released together with the rest, and wants exactly its own release of it."""
    found = spans(scene, "starlette_as_usual", rules, ("PYTHONPATH", ""))
    assert found == spans(scene, "starlette_as_usual", rules)
    assert found


def test_it_can_be_disabled_all_the_same() -> None:
    disabled = ("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "starlette")
    assert spans("plain", "starlette_as_usual", "*=1", ("PYTHONPATH", ""), disabled) == []


@pytest.mark.parametrize("made", MADE)
class TestEveryApplication:
    def test_one_span_a_request(self, made: str) -> None:
        found = spans("plain", made)
        assert names(found) == ["GET /hello/{name}", "GET /fail", "GET /teapot/{name}", "GET"]
        assert status_codes(found) == [200, 500, 418, 404]
        assert found[1]["status"] == "ERROR"
        assert found[1]["events"] == ["exception"]

    def test_none_for_what_is_not_sampled_but_failures(self, made: str) -> None:
        found = spans("plain", made, "*=0")
        assert names(found) == ["GET /fail"]
        assert found[0]["attributes"]["tracebaton.kept"] == "error"
        assert status_codes(found) == [500]

    @pytest.mark.parametrize("rules", ["*=1", "*=0"])
    def test_a_mounted_one_has_its_full_route(self, made: str, rules: str) -> None:
        prefix = "/sub/{tenant}/deeper"
        found = spans("mounted", made, rules)
        expected = [
            f"GET {prefix}/hello/{{name}}",
            f"GET {prefix}/fail",
            f"GET {prefix}/teapot/{{name}}",
            f"GET {prefix}",
            f"PUT {prefix}/hello/{{name}}",
            f"{prefix}/ws/{{code}}",
        ]
        if rules == "*=0":
            expected = [expected[1]]
        assert names(found) == expected
        assert [one["attributes"]["http.route"] for one in found] == [name.split(" ")[-1] for name in expected]

    def test_a_websocket_is_named_by_its_route_and_judged_by_its_close_code(self, made: str) -> None:
        found = spans("websockets", made)
        routes = ["/ws/{code}", "/ws/{code}", "/ws/{code}", "/refuse", "/deny", "/broken"]
        assert names(found) == [*routes, "WebSocket"]
        assert [one["status"] for one in found] == ["UNSET", "ERROR", "UNSET", "UNSET", "ERROR", "ERROR", "UNSET"]
        codes = [one["attributes"].get("websocket.close_code") for one in found]
        assert codes[:4] == [1000, 1011, 1001, 1008]
        assert status_codes(found) == [None, None, None, 403, 503, None, 403]

    def test_a_websocket_that_failed_is_kept(self, made: str) -> None:
        found = spans("websockets", made, "*=0")
        assert names(found) == ["/ws/{code}", "/deny", "/broken"]
        assert [one["status"] for one in found] == ["ERROR"] * 3


@pytest.mark.parametrize("made", ["fastapi_as_usual", "starlette_as_usual"])
@pytest.mark.parametrize("rules", ["*=1", "*=50%", "*=0"])
def test_metrics_count_a_mounted_application_as_upstream_does(made: str, rules: str) -> None:
    """Once for each of the two applications, whatever is sampled; and there is one SERVER span still."""
    text = run("ten_to_a_mounted_one", made, rules, OTEL_METRICS_EXPORTER="console").stdout
    counted = 0
    decoder, at = json.JSONDecoder(), text.find("{")
    while at >= 0:
        document, end = decoder.raw_decode(text, at)
        counted = max(counted, sum(
            point["count"]
            for resource in document["resource_metrics"]
            for scope in resource["scope_metrics"]
            for metric in scope["metrics"]
            if metric["name"] == "http.server.duration"
            for point in metric["data"]["data_points"]
        ))  # fmt: skip
        at = text.find("{", end)
    assert counted == 20


def test_a_mounted_application_has_its_full_route_where_metrics_are_exported() -> None:
    found = spans("ten_to_a_mounted_one", "fastapi_as_usual", "*=1", ("OTEL_METRICS_EXPORTER", "console"))
    assert [one["name"] for one in found if one["kind"] == "SERVER"] == ["GET /sub/hello/{name}"] * 10


@pytest.mark.parametrize("made", ["starlette_as_usual", "starlette_before"])
def test_a_provider_of_the_applications_own_gets_its_spans(made: str) -> None:
    """After `uninstrument`, nothing is left; whoever instruments anew is obeyed."""
    found = spans("own_provider", made, "*=0")
    assert [one["name"] for one in found if one["kind"] == "SERVER"] == ["GET /hello/{name}"]
    assert len(found) == 3, "with upstream's spans for ASGI events"


@pytest.mark.parametrize("launcher", ["tracebaton run", "opentelemetry-instrument"])
def test_the_order_in_which_instrumentations_load_does_not_matter(launcher: str, tmp_path: Path) -> None:
    """As opentelemetry-instrumentation-mcp, which comes before Starlette's and imports its class."""
    (tmp_path / "early.py").write_text(
        "from starlette.applications import Starlette\n"
        "class Instrumentor:\n"
        "    def instrument(self, **arguments): pass\n"
    )
    metadata = tmp_path / "early-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: early\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[opentelemetry_instrumentor]\naearly = early:Instrumentor\n")
    (tmp_path / "serve.py").write_text(
        "import asyncio, sys\n"
        f"sys.path.insert(0, {str(SCRIPT.parent)!r})\n"
        "from early import Starlette\n"
        "from rawasgi import http_scope, send\n"
        "asyncio.run(send(Starlette(), http_scope()))\n"
    )
    env = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    env.update(
        OTEL_TRACES_EXPORTER="console",
        OTEL_METRICS_EXPORTER="none",
        OTEL_LOGS_EXPORTER="none",
        OTEL_PYTHON_DISTRO="tracebaton",
        OTEL_PYTHON_CONFIGURATOR="tracebaton",
        OTEL_TRACES_SAMPLER_ARG="*=1",
        PYTHONPATH=f"{tmp_path}{os.pathsep}{OTHERS}",
    )
    program, *words = launcher.split()
    command = [str(Path(sys.executable).with_name(program)), *words, sys.executable, str(tmp_path / "serve.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, env=env)
    assert done.stdout.count("SpanKind.SERVER") == 1, done.stdout + done.stderr
