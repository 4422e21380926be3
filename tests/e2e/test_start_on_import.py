"""Below `tracebaton run` nothing is imported, changed or said before the application imports what is traced."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tracebaton_configurator.startup.begin import AUTOLOAD

PROGRAM = str(Path(sysconfig.get_path("scripts"), "tracebaton"))
# What no process is to get that is not traced.
HEAVY = (
    "opentelemetry",
    "h2",
    "h11",
    "wrapt",
    "fastapi",
    "httpx",
    "redis",
    "logging",
    "threading",
    "importlib.metadata",
)


def start(
    *command: str, directory: Path | None = None, traced: bool = True, **environ: str
) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    env |= {"OTEL_TRACES_EXPORTER": "none", "OTEL_SERVICE_NAME": "shop", **environ}
    launcher = [PROGRAM, "run"] if traced else []
    return subprocess.run(
        [*launcher, *command], capture_output=True, text=True, timeout=60, check=False, env=env, cwd=directory
    )


def python(code: str, directory: Path | None = None, **environ: str) -> subprocess.CompletedProcess[str]:
    return start(sys.executable, "-c", code, directory=directory, **environ)


class TestNothingTraced:
    @pytest.mark.parametrize(
        "code",
        [
            "pass",
            "import logging; logging.basicConfig(level=20); logging.info('hello'); print('out')",
            "import subprocess, sys, json; print(json.dumps([1])); sys.exit(3)",
            "raise SystemExit('no luck')",
        ],
    )
    def test_output_and_status_are_as_without(self, code: str) -> None:
        traced, bare = python(code), start(sys.executable, "-c", code, traced=False)
        assert (traced.returncode, traced.stdout, traced.stderr) == (bare.returncode, bare.stdout, bare.stderr)

    def test_nothing_is_imported(self) -> None:
        code = f"import sys; print([name for name in {HEAVY} if name in sys.modules])"
        assert python(code).stdout == start(sys.executable, "-c", code, traced=False).stdout

    def test_wrong_settings_are_nobodys_business(self) -> None:
        assert python("pass", OTEL_TRACEBATON_LOGS="yaml").stderr == ""

    def test_but_strict_ends_it_before_it_begins(self) -> None:
        done = python("print('runs')", OTEL_TRACEBATON_LOGS="yaml", OTEL_TRACEBATON_STRICT="true")
        assert (done.returncode, done.stdout) == (78, "")


@pytest.mark.parametrize("statement", ["import httpx", "import redis", "import fastapi", "import uvicorn"])
def test_nothing_else_of_the_applications_is_imported(statement: str) -> None:
    """Nor h2, h11 and the exporters, unless the library brings them."""
    names = ("fastapi", "httpx", "redis", "h2", "h11", "grpc", "requests", "google.protobuf", "ssl")
    code = f"{statement}\nimport sys; print([name for name in {names} if name in sys.modules])"
    assert python(code).stdout == start(sys.executable, "-c", code, traced=False).stdout


class TestTraced:
    @pytest.mark.parametrize(
        "statements",
        [
            "from opentelemetry import trace",
            "from opentelemetry.sdk.trace import TracerProvider; from opentelemetry import trace",
            "import opentelemetry.instrumentation.httpx; from opentelemetry import trace",
            "import httpx; from opentelemetry import trace",
            "import importlib; trace = importlib.import_module('opentelemetry.trace')",
        ],
    )
    def test_the_provider_is_there_before_the_application_asks(self, statements: str) -> None:
        code = (
            f"{statements}\nprovider = trace.get_tracer_provider()\n"
            "from opentelemetry.sdk.trace import TracerProvider\n"
            "print(isinstance(provider, TracerProvider), provider.resource.attributes['telemetry.distro.name'])"
        )
        assert python(code).stdout == "True tracebaton\n"

    @pytest.mark.parametrize("name", ["httpx", "redis", "fastapi"])
    def test_the_library_that_begins_it_is_instrumented(self, name: str) -> None:
        """Also where it does not import OpenTelemetry itself, as FastAPI and redis-py do today."""
        code = f"import {name}\nfrom tracebaton_configurator.startup.state import STATE\nprint(STATE.instrumented)"
        assert python(code).stdout == f"['{name}']\n"

    @pytest.mark.parametrize("order", ["fastapi httpx redis", "redis httpx fastapi", "starlette.applications fastapi"])
    def test_libraries_are_instrumented_in_whatever_order_they_come(self, order: str) -> None:
        imports = "\n".join(f"import {name}" for name in order.split())
        methods = "httpx.HTTPTransport.handle_request, redis.Redis.execute_command"
        code = (
            f"{imports}\nimport fastapi, httpx, redis\nprint(fastapi.FastAPI.__module__)\n"
            f"print(all(hasattr(one, '__wrapped__') for one in ({methods})))"
        )
        assert python(code).stdout == "opentelemetry.instrumentation.fastapi\nTrue\n"

    def test_an_instrumentation_that_is_imported_by_hand_works(self) -> None:
        code = (
            "from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor\n"
            "import fastapi\n"
            "print(fastapi.FastAPI.__module__, FastAPIInstrumentor().is_instrumented_by_opentelemetry)"
        )
        done = python(code)
        assert done.stdout == "opentelemetry.instrumentation.fastapi True\n"
        assert "failed" not in done.stderr

    def test_the_line_comes_with_the_first_span_and_once(self) -> None:
        code = (
            "from opentelemetry import trace; tracer = trace.get_tracer('t'); print('here', flush=True)\n"
            "import sys; print('---', file=sys.stderr)\n"
            "for _ in range(2): tracer.start_span('x').end()"
        )
        before, line = python(code).stderr.split("---\n")
        assert before == ""
        assert json.loads(line)["message"].startswith("Tracing is on: service 'shop', ")

    def test_threads_that_import_at_once(self) -> None:
        code = (
            "import threading\n"
            "def work(name): __import__(name)\n"
            "names = ['httpx', 'redis', 'fastapi', 'opentelemetry.sdk.trace', 'uvicorn']\n"
            "threads = [threading.Thread(target=work, args=(name,)) for name in names]\n"
            "for one in threads: one.start()\n"
            "for one in threads: one.join()\n"
            "import httpx, redis, fastapi\n"
            "print(fastapi.FastAPI.__module__, hasattr(httpx.HTTPTransport.handle_request, '__wrapped__'))"
        )
        done = python(code)
        assert done.stdout == "opentelemetry.instrumentation.fastapi True\n", done.stderr

    def test_disabled_instrumentations_are_left_out(self) -> None:
        code = (
            "import fastapi, httpx\n"
            "print(fastapi.FastAPI.__module__, hasattr(httpx.HTTPTransport.handle_request, '__wrapped__'))"
        )
        assert (
            python(code, OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="fastapi , redis").stdout
            == "fastapi.applications True\n"
        )


class TestInitializeTwice:
    """H8: taskiq's instrumentor and recipes for forked workers call upstream's `initialize()` once more."""

    COUNT = (
        "from opentelemetry import trace\n"
        "provider = trace.get_tracer_provider()\n"
        "before = provider._active_span_processor._span_processors\n"
        "from opentelemetry.instrumentation.auto_instrumentation import initialize\n"
        "{again}\n"
        "same = provider._active_span_processor._span_processors == before\n"
        "print(same, trace.get_tracer_provider() is provider)\n"
    )

    @pytest.mark.parametrize("launcher", ["tracebaton", "opentelemetry-instrument"])
    @pytest.mark.parametrize(
        "again",
        [
            "initialize()",
            "initialize(); initialize()",
            "import os\nif os.fork(): os.wait(); os._exit(0)\ninitialize()",
            "import threading; one = threading.Thread(target=initialize); one.start(); one.join()",
        ],
    )
    def test_it_changes_nothing(self, launcher: str, again: str) -> None:
        env = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
        env |= {
            "OTEL_PYTHON_DISTRO": "tracebaton",
            "OTEL_PYTHON_CONFIGURATOR": "tracebaton",
            "OTEL_SERVICE_NAME": "shop",
        }
        command = [PROGRAM, "run"] if launcher == "tracebaton" else [str(Path(PROGRAM).with_name(launcher))]
        done = subprocess.run(
            [*command, sys.executable, "-c", self.COUNT.format(again=again)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**env, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"},
        )
        assert done.stdout == "True True\n", done.stderr
        assert "ERROR" not in done.stderr
        assert done.stderr.count("Tracing is on") <= 1


class TestSiteCustomize:
    """H9: CA bundles, secrets and coverage begin there."""

    @pytest.fixture
    def site(self, tmp_path: Path) -> Path:
        (tmp_path / "sitecustomize.py").write_text("import builtins; builtins.customized = __file__\n")
        return tmp_path

    @pytest.mark.parametrize("launcher", [[PROGRAM, "run"], [str(Path(PROGRAM).with_name("opentelemetry-instrument"))]])
    def test_the_users_own_runs(self, site: Path, launcher: list[str]) -> None:
        env = {**os.environ, "PYTHONPATH": str(site), "OTEL_TRACES_EXPORTER": "none"}
        env |= {"OTEL_PYTHON_DISTRO": "tracebaton", "OTEL_PYTHON_CONFIGURATOR": "tracebaton"}
        code = "import sitecustomize; print(customized, sitecustomize.__file__)"
        done = subprocess.run(
            [*launcher, sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False, env=env
        )
        own = str(site / "sitecustomize.py")
        assert done.stdout == f"{own} {own}\n", done.stderr

    def test_one_that_raises_is_reported_as_without(self, site: Path) -> None:
        """In the command; `tracebaton` itself is another Python of this environment, which runs it as well."""
        (site / "sitecustomize.py").write_text("raise RuntimeError('no luck')\n")
        command = ["env", f"PYTHONPATH={AUTOLOAD}{os.pathsep}{site}", sys.executable, "-c", "print('runs')"]
        traced = start(*command, traced=False, OTEL_PYTHON_DISTRO="tracebaton", OTEL_PYTHON_CONFIGURATOR="tracebaton")
        bare = start(sys.executable, "-c", "print('runs')", traced=False, PYTHONPATH=str(site))
        assert (traced.stderr, traced.stdout) == (bare.stderr, "runs\n")

    def test_one_that_imports_what_is_traced(self, site: Path) -> None:
        (site / "sitecustomize.py").write_text("import httpx\n")
        code = "import httpx; print(hasattr(httpx.HTTPTransport.handle_request, '__wrapped__'))"
        assert python(code, PYTHONPATH=str(site)).stdout == "True\n"

    def test_usercustomize_runs(self, tmp_path: Path) -> None:
        """Where the interpreter has user site-packages at all, which a virtual environment has not."""
        (tmp_path / "usercustomize.py").write_text("import builtins; builtins.customized = 'user'\n")
        code = "import builtins; print(getattr(builtins, 'customized', None))"
        base = os.path.realpath(sys.executable)
        library = sysconfig.get_path("purelib")
        own = os.pathsep.join([str(tmp_path), library, *(path for path in sys.path if path.endswith("configurator"))])
        traced = start(base, "-c", code, PYTHONPATH=own)
        assert traced.stdout == start(base, "-c", code, traced=False, PYTHONPATH=own).stdout


def test_the_working_directory_is_where_it_was(tmp_path: Path) -> None:
    """H10: before the standard library stands what stood there."""
    (tmp_path / "yaml.py").write_text("raise RuntimeError('this is not yaml')\n")
    (tmp_path / "json.py").write_text("raise RuntimeError('this is not json')\n")
    app = tmp_path / "elsewhere" / "app.py"
    app.parent.mkdir()
    app.write_text("import json, yaml, sys, fastapi; print(sys.path[0])\n")
    for environ in ({}, {"OTEL_SDK_DISABLED": "true"}):
        done = start(sys.executable, str(app), directory=tmp_path, **environ)
        assert done.stdout == f"{app.parent}\n", done.stderr


class TestChildren:
    """H15: a tool's output is read by the program that has started it, perhaps by a model."""

    TOOL = "import logging, httpx, sys; logging.basicConfig(level=20); logging.info('tool'); print('out')"
    SPAN = "; from opentelemetry import trace; trace.get_tracer('t').start_span('x').end()"

    def parent(self, run: str) -> str:
        return (
            f"import subprocess, sys, httpx, logging\ntool = [sys.executable, '-c', {self.TOOL + self.SPAN!r}]\n{run}"
        )

    @pytest.mark.parametrize(
        "run",
        [
            "done = subprocess.run(tool, capture_output=True, text=True); print(repr(done.stdout), repr(done.stderr))",
            "print(subprocess.run(tool, stderr=subprocess.STDOUT, stdout=subprocess.PIPE, text=True).stdout)",
            "import shlex; print(subprocess.getoutput(shlex.join(tool)))",
        ],
    )
    def test_what_the_parent_reads_is_as_without(self, run: str) -> None:
        traced, bare = (start(sys.executable, "-c", self.parent(run), traced=traced) for traced in (True, False))
        assert traced.stdout == bare.stdout
        assert "INFO:root:tool" in traced.stdout

    @pytest.mark.parametrize(
        "log",
        [
            "import structlog; structlog.get_logger().info('tool', x=1)",
            "import structlog, sys; structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr),"
            " processors=[structlog.processors.KeyValueRenderer()]); structlog.get_logger().info('a')",
            "import loguru, sys; loguru.logger.remove(); loguru.logger.add(sys.stderr, format='{message}');"
            "loguru.logger.info('tool')",
            "import logging, sys; logging.basicConfig(stream=sys.stdout, format='%(message)s'); logging.error('tool')",
            "import warnings; warnings.warn('tool')",
        ],
    )
    def test_whatever_it_logs_with(self, log: str) -> None:
        tool = f"import httpx; {log}"
        code = (
            "import httpx, subprocess, sys\n"
            f"done = subprocess.run([sys.executable, '-c', {tool!r}], capture_output=True)\n"
            "import re; print(re.sub(rb'\\d', b'0', done.stdout), done.stderr)"
        )
        traced, bare = (start(sys.executable, "-c", code, traced=traced) for traced in (True, False))
        assert traced.stdout == bare.stdout

    def test_what_goes_to_the_containers_log_is_shaped(self) -> None:
        done = python(self.parent("subprocess.run(tool)"))
        assert [json.loads(line)["message"] for line in done.stderr.splitlines() if "root" in line] == ["tool"]

    def test_a_tools_tool_is_compared_with_the_containers_log(self) -> None:
        outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {self.TOOL!r}])"
        run = f"print(subprocess.run([sys.executable, '-c', {outer!r}], capture_output=True, text=True).stderr)"
        assert python(self.parent(run)).stdout == "INFO:root:tool\n\n"

    def test_exec_is_no_child(self) -> None:
        code = f"import httpx, os, sys; os.execv(sys.executable, [sys.executable, '-c', {self.TOOL!r}])"
        done = python(code)
        assert [json.loads(line)["message"] for line in done.stderr.splitlines()] == ["tool"]

    def test_true_shapes_everything(self) -> None:
        run = "print(subprocess.run(tool, capture_output=True, text=True).stderr)"
        done = python(self.parent(run), OTEL_TRACEBATON_CHILDREN="true")
        assert '"message": "tool"' in done.stdout

    def test_false_leaves_them_alone(self) -> None:
        run = "print(subprocess.run(tool, capture_output=True, text=True).stderr)"
        done = python(self.parent(run), OTEL_TRACEBATON_CHILDREN="false")
        assert done.stdout == "INFO:root:tool\n\n"


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_worker_is_called_like_the_program_that_started_it(tmp_path: Path, method: str) -> None:
    """Also where that one has imported nothing that is traced, and left no word."""
    app = tmp_path / "shop.py"
    app.write_text(
        "import multiprocessing\n"
        "def work():\n"
        "    from opentelemetry import trace\n"
        "    print(trace.get_tracer_provider().resource.attributes['service.name'])\n"
        f"if __name__ == '__main__':\n"
        f"    context = multiprocessing.get_context({method!r})\n"
        "    worker = context.Process(target=work)\n"
        "    worker.start(); worker.join()\n"
    )
    assert start(sys.executable, str(app), directory=tmp_path, OTEL_SERVICE_NAME="").stdout == "shop\n"
