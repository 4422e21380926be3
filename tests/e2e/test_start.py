"""What a process does at its start: with right settings, with wrong ones, and with none of its business."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest
from launches import CHOSEN

LAUNCHER = str(Path(sysconfig.get_path("scripts"), "opentelemetry-instrument"))
LOG = "import logging; logging.basicConfig(level=20); logging.getLogger('app').info('hello')"


def start(code: str, path: Path | None = None, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run `code` under the bare launcher, with this distro chosen and nothing exported, unless `environ` says else."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    env |= {**CHOSEN, "OTEL_TRACES_EXPORTER": "none", **environ}
    if path is not None:
        env["PYTHONPATH"] = str(path)
    return subprocess.run(
        [LAUNCHER, sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False, env=env
    )


def lines(done: subprocess.CompletedProcess[str], logger: str | None = None) -> list[dict[str, Any]]:
    """Every line of standard error as an object; fails where one is not."""
    objects = [json.loads(line) for line in done.stderr.splitlines()]
    return [one for one in objects if logger in (None, one["logger"])]


def test_one_line_says_what_is_on() -> None:
    (line,) = lines(start("pass", OTEL_SERVICE_NAME="shop"))
    assert line["logger"] == "tracebaton"
    assert line["message"].startswith("Tracing is on: service 'shop', ")
    for name in ("fastapi", "httpx", "redis"):
        assert name in line["message"]


def test_the_applications_lines_are_json() -> None:
    (line,) = lines(start(LOG, OTEL_SERVICE_NAME="shop"), "app")
    assert (line["message"], line["level"], line["service.name"]) == ("hello", "INFO", "shop")


class TestDisabled:
    def test_it_is_really_off(self) -> None:
        """No SDK, no patched library, the log format as it was."""
        code = (
            "import sys, logging, fastapi, httpx\n"
            # redis-py 8 imports the SDK's metrics by itself, wherever they are installed.
            "assert not [name for name in sys.modules if name.startswith('opentelemetry.sdk')]\n"
            "import redis\n"
            "assert 'opentelemetry.sdk.trace' not in sys.modules\n"
            "assert fastapi.FastAPI.__module__ == 'fastapi.applications'\n"
            "assert not hasattr(httpx.HTTPTransport.handle_request, '__wrapped__')\n"
            "assert logging.Handler.format.__module__ == 'logging'\n"
        )
        done = start(code + LOG, OTEL_SDK_DISABLED="true")
        assert done.returncode == 0, done.stderr
        assert done.stderr.splitlines() == [
            "INFO: tracebaton: Tracing is off: OTEL_SDK_DISABLED=true.",
            "INFO:app:hello",
        ]


class TestWrongSettings:
    def test_one_line_each_and_the_application_runs(self) -> None:
        done = start("print('runs')", OTEL_TRACEBATON_LOGS="yaml", OTEL_TRACEBATON_SHUTDOWN_TIMEOUT="5")
        assert (done.returncode, done.stdout) == (0, "runs\n")
        errors = [line["message"] for line in lines(done) if line["level"] == "ERROR"]
        assert errors == [
            "OTEL_TRACEBATON_LOGS='yaml' is unknown (expected json, inject, off); using json.",
            "OTEL_TRACEBATON_SHUTDOWN_TIMEOUT='5' is not a duration (expected a duration such as 250ms, 2s or 1m); "
            "using 5s.",
        ]

    @pytest.mark.parametrize(
        ("variable", "value", "said"),
        [
            ("OTEL_TRACES_SAMPLER", "traceidratoi", "no request is recorded"),
            ("OTEL_TRACES_EXPORTER", "otpl", "(expected console, none, otlp"),
            ("OTEL_METRICS_EXPORTER", "prometeus", "it is left out"),
        ],
    )
    def test_wrong_names(self, variable: str, value: str, said: str) -> None:
        done = start("print('runs')", **{variable: value})
        assert done.stdout == "runs\n"
        (error,) = [line["message"] for line in lines(done) if line["level"] == "ERROR"]
        assert error.startswith(f"{variable}='{value}' is unknown")
        assert said in error

    @pytest.mark.parametrize(
        ("sampler", "argument", "said"),
        [
            ("traceidratio", "10%", "OTEL_TRACES_SAMPLER_ARG='10%' is not a ratio"),
            ("tracebaton", "/a=1, POST /chat=1O%", "rule 2, 'POST /chat=1O%': rate must be 0..1, N%, N/s or N/s+P%"),
        ],
    )
    def test_a_wrong_rate_means_the_default_rules_and_never_100_per_cent(
        self, sampler: str, argument: str, said: str
    ) -> None:
        code = (
            "from opentelemetry import trace; tracer = trace.get_tracer('t')\n"
            "print(sum(tracer.start_span('x').is_recording() for _ in range(1000)))"
        )
        done = start(code, OTEL_TRACES_SAMPLER=sampler, OTEL_TRACES_SAMPLER_ARG=argument)
        assert 10 <= int(done.stdout) < 300
        (error,) = [line["message"] for line in lines(done) if line["level"] == "ERROR"]
        assert said in error
        assert "the default rules apply" in error

    @pytest.mark.parametrize(
        "environ",
        [
            {"OTEL_TRACEBATON_LOGS": "yaml"},
            {"OTEL_TRACES_EXPORTER": "otpl"},
            {"OTEL_TRACES_SAMPLER": "always"},
            {"OTEL_TRACES_SAMPLER_ARG": "POST /chat=1O%"},
        ],
    )
    def test_strict_ends_the_process_with_78(self, environ: dict[str, str]) -> None:
        done = start("print('runs')", OTEL_TRACEBATON_STRICT="true", **environ)
        assert (done.returncode, done.stdout) == (78, "")
        assert "OTEL_TRACEBATON_STRICT=true: the process ends here" in done.stderr

    def test_strict_with_right_settings_is_no_different(self) -> None:
        assert start("print('runs')", OTEL_TRACEBATON_STRICT="true").stdout == "runs\n"

    def test_an_error_in_start_up_leaves_the_application_running(self, tmp_path: Path) -> None:
        (tmp_path / "broken_ids.py").write_text("class Ids:\n    def __init__(self): raise RuntimeError('no luck')\n")
        info = tmp_path / "broken_ids-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken_ids\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[opentelemetry_id_generator]\nbroken = broken_ids:Ids\n")
        done = start("print('runs')", tmp_path, OTEL_PYTHON_ID_GENERATOR="broken")
        assert done.stdout == "runs\n"
        (error,) = [line["message"] for line in lines(done) if line["level"] == "ERROR"]
        assert error == "Tracing could not start, the application runs untraced: RuntimeError: no luck"

    def test_httpx_still_has_its_command_line_client(self) -> None:
        code = "import httpx, sys\nassert 'rich' not in sys.modules\nhttpx.main(['--help'])"
        assert "HTTP" in start(code).stdout


def install_instrumentor(path: Path, name: str, body: str) -> None:
    """A distribution with one instrumentation, as an installed package would look to the launcher."""
    module = f"broken_{name}"
    (path / f"{module}.py").write_text(body)
    info = path / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[opentelemetry_instrumentor]\n{name} = {module}:Instrumentor\n")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("class Instrumentor:\n    def instrument(self, **_): raise RuntimeError('no luck')", "RuntimeError: no luck"),
        ("raise ValueError('bad module')", "ValueError: bad module"),
        ("from json import nothing", "ImportError: cannot import name 'nothing'"),
    ],
)
def test_an_instrumentation_that_fails_takes_no_other_along(tmp_path: Path, body: str, said: str) -> None:
    install_instrumentor(tmp_path, "aaa", body)
    install_instrumentor(tmp_path, "zzz", body)
    done = start("print('runs')", tmp_path)
    assert done.stdout == "runs\n"
    errors = [line["message"] for line in lines(done) if line["level"] == "ERROR"]
    assert len(errors) == 2
    for error in errors:
        assert said in error
    (info,) = [line["message"] for line in lines(done) if line["level"] == "INFO"]
    assert "fastapi" in info
    assert "httpx" in info
    assert "skipped: " in info


def test_any_other_installed_instrumentation_is_loaded(tmp_path: Path) -> None:
    install_instrumentor(tmp_path, "other", "class Instrumentor:\n    def instrument(self, **_): print('loaded')")
    assert start("pass", tmp_path).stdout == "loaded\n"


@pytest.mark.parametrize(
    ("environ", "lost"),
    [
        ({"OTEL_PYTHON_DISTRO": "distro", "OTEL_PYTHON_CONFIGURATOR": "configurator"}, "distro and configurator"),
        ({"OTEL_PYTHON_CONFIGURATOR": "configurator"}, "configurator"),
    ],
)
def test_where_another_distro_won_one_line_says_what_to_set(environ: dict[str, str], lost: str) -> None:
    done = start("pass", **environ, OTEL_METRICS_EXPORTER="none", OTEL_LOGS_EXPORTER="none")
    (line,) = [line for line in done.stderr.splitlines() if "tracebaton is installed" in line]
    assert f"another OpenTelemetry {lost} is active in this process" in line
    assert "OTEL_PYTHON_DISTRO=tracebaton and OTEL_PYTHON_CONFIGURATOR=tracebaton" in line


@pytest.mark.parametrize("disabled", ["false", "true"])
def test_the_launchers_directory_is_left_to_child_processes(disabled: str) -> None:
    code = (
        "import os, sys\n"
        "paths = os.environ['PYTHONPATH'].split(os.pathsep)\n"
        "inside = [path for path in paths if path.endswith('auto_instrumentation')]\n"
        "print(len(inside), len(set(inside) & set(sys.path)))"
    )
    assert start(code, OTEL_SDK_DISABLED=disabled).stdout == "1 0\n"


def test_multiprocessings_helper_process_says_nothing() -> None:
    code = "from multiprocessing import resource_tracker as r; r.ensure_running()"
    assert len(lines(start(code, OTEL_SERVICE_NAME="shop"))) == 1
