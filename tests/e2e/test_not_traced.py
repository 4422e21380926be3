"""The start-up log names what is not traced: an instrumentation that lacks something, and clients without any."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from harness import TRACED
from launching import start, wait_for_workers, wait_until_gone, wait_until_ready
from processes import HOST, wait_for

if TYPE_CHECKING:
    from harness import System

SCRIPTS = Path(sysconfig.get_path("scripts"))
RUN = (str(SCRIPTS / "tracebaton"), "run")
UPSTREAM = (str(SCRIPTS / "opentelemetry-instrument"),)
CHOSEN = {"OTEL_PYTHON_DISTRO": "tracebaton", "OTEL_PYTHON_CONFIGURATOR": "tracebaton"}
SPAN = "from opentelemetry import trace; trace.get_tracer('t').start_span('x').end()\n"
# What serves aiohttp, requests and urllib3 where there is no instrumentation for them.
UNSERVED = {"OTEL_TRACEBATON_DISABLED_PATCHES": "other-clients"}
LACKS = "needs gauges, which is not installed"


def install(path: Path) -> None:
    """A library with an instrumentation of its own, which imports what only an extra brings, as taskiq's does."""
    (path / "belt").mkdir(parents=True)
    (path / "belt" / "__init__.py").write_text("")
    (path / "belt" / "instrumentation.py").write_text("import gauges\n")
    info = path / "belt-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: belt\nVersion: 1.0\nProvides-Extra: telemetry\nProvides-Extra: instruments\n"
        "Requires-Dist: gauges; extra == 'telemetry'\nRequires-Dist: belt; extra == 'instruments'\n"
    )
    (info / "entry_points.txt").write_text("[opentelemetry_instrumentor]\nbelt = belt.instrumentation:Instrumentor\n")


def said(launcher: tuple[str, ...], code: str, directory: Path, **environ: str) -> list[tuple[str, str]]:
    """Level and message of each line of ours, from INFO on."""
    outside = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL", "_OTEL"))}
    outside |= {"OTEL_TRACES_EXPORTER": "none", "OTEL_SERVICE_NAME": "shop", "PYTHONPATH": str(directory), **CHOSEN}
    done = subprocess.run(
        [*launcher, sys.executable, "-c", code],
        env={**outside, **environ}, cwd=directory, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    return [(one["level"], one["message"]) for one in records if one["logger"] == "tracebaton"]


class TestADependencyThatIsMissing:
    def test_it_is_in_the_start_up_log_line(self, tmp_path: Path) -> None:
        install(tmp_path)
        ((level, line),) = said(RUN, f"import belt, fastapi\n{SPAN}", tmp_path)
        assert level == "INFO"
        assert f", skipped: belt ({LACKS})" in line
        assert "on import: belt" not in line

    @pytest.mark.parametrize("launcher", [RUN, UPSTREAM], ids=["run", "upstream"])
    def test_it_is_said_by_itself_where_that_line_came_before(self, tmp_path: Path, launcher: tuple[str, ...]) -> None:
        install(tmp_path)
        (_, line), late = said(launcher, f"import fastapi\n{SPAN}import belt\n", tmp_path)
        assert "on import: belt" in line
        assert late == ("WARNING", f"Instrumentation belt was skipped: it {LACKS}.")

    def test_the_library_itself_is_none(self, tmp_path: Path) -> None:
        """Whoever does not use it misses nothing."""
        install(tmp_path)
        metadata = tmp_path / "belt-1.0.dist-info" / "METADATA"
        any_of = "".join(f"Requires-Dist: {name}; extra == 'instruments-any'\n" for name in ("belt", "gauges"))
        metadata.write_text(f"Metadata-Version: 2.1\nName: belt\nVersion: 1.0\n{any_of}")
        ((_, line),) = said(RUN, f"import belt, fastapi\n{SPAN}", tmp_path)
        assert "skipped" not in line


class TestClients:
    @pytest.mark.parametrize("launcher", [RUN, UPSTREAM], ids=["run", "upstream"])
    def test_those_that_the_application_imports_are_named(self, tmp_path: Path, launcher: tuple[str, ...]) -> None:
        """Once: in the line at start, or at the first sign of something traced where that comes later."""
        lines = said(launcher, f"import aiohttp, requests, fastapi\n{SPAN}{SPAN}", tmp_path, **UNSERVED)
        (line,) = [message for _, message in lines if "aiohttp" in message]
        assert "without an instrumentation: aiohttp, requests" in line
        assert "urllib3" not in line  # it is what requests sends with
        assert {level for level, _ in lines} == {"INFO"}

    def test_those_that_are_only_installed_are_not(self, tmp_path: Path) -> None:
        ((_, line),) = said(RUN, f"import fastapi, httpx, redis\n{SPAN}", tmp_path, **UNSERVED)
        assert "without an instrumentation" not in line

    def test_what_only_our_own_exporters_import_is_not(self, tmp_path: Path) -> None:
        for protocol in ("grpc", "http/protobuf"):
            environ = {"OTEL_LOGS_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": protocol, **UNSERVED}
            check = "import sys; assert 'requests' in sys.modules or 'grpc' in sys.modules\n"
            lines = said(RUN, f"import fastapi\n{SPAN}{check}", tmp_path, **environ)
            assert [message for _, message in lines if "without an instrumentation" in message] == []

    @pytest.mark.parametrize("disabled", ["requests", "*"])
    def test_what_somebody_has_disabled_is_not(self, tmp_path: Path, disabled: str) -> None:
        environ = {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": disabled, **UNSERVED}
        ((_, line),) = said(RUN, f"import requests, fastapi\n{SPAN}", tmp_path, **environ)
        assert "without an instrumentation" not in line

    @pytest.mark.parametrize("launcher", [RUN, UPSTREAM], ids=["run", "upstream"])
    def test_what_a_patch_serves_is_not(self, tmp_path: Path, launcher: tuple[str, ...]) -> None:
        lines = said(launcher, f"import aiohttp, requests, fastapi, grpc\n{SPAN}", tmp_path)
        (line,) = [message for _, message in lines if "without an instrumentation" in message]
        assert "without an instrumentation: grpcio" in line
        assert "without an instrumentation: grpcio," not in line


@pytest.mark.parametrize(
    "command",
    [
        ("uvicorn", "with_clients:app", "--host", HOST, "--port", "{port}", "--workers", "2"),
        (
            *("gunicorn", "-k", "uvicorn_worker.UvicornWorker", "-w", "2", "-b", HOST + ":{port}"),
            "with_clients:app",
        ),
    ],
    ids=["spawned", "forked"],
)
def test_workers_say_both_once(system: System, tmp_path: Path, command: tuple[str, ...]) -> None:
    """The process that starts them has imported neither, and has said the line at start."""
    install(tmp_path)
    (tmp_path / "with_clients.py").write_text("import aiohttp, belt\nfrom launch_app import app\n")
    apps = Path(__file__).parent / "apps"
    (tmp_path / "launch_app.py").symlink_to(apps / "launch_app.py")
    service = start(system, "shop", (*TRACED, *command), env=UNSERVED, directory=tmp_path)
    wait_until_ready(service)
    wait_for_workers(2, service)
    assert wait_for(lambda: service.send(8) or len(service.pids) == 2, 20)  # the eldest speaks for both
    service.end(signal.SIGTERM, group=False)
    wait_until_gone(service)
    output = service.child.output()
    assert output.count("Tracing is on") == 1
    assert output.count("without an instrumentation: aiohttp") == 1
    assert output.count(LACKS) == 1
