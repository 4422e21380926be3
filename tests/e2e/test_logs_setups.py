"""Whatever an application sets logging up with: JSON with the ids, or its own formats with the ids, or as it was.

Each set-up runs three times, as an unmodified application under a real server: untraced, and with the log modes
`inject` and `json`. Some run with tracing switched off, too.
"""

from __future__ import annotations

import json
import re
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from harness import TRACED, UNTRACED, System
from processes import HOST, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from processes import Child

APPS = Path(__file__).parent / "apps"
# Other releases than the one that is installed; see the Makefile.
JSON_LOGGERS = Path(sys.prefix, "other-json-loggers")
IDS = ("trace_id", "span_id", "trace_flags")
UVICORN = ("uvicorn", "setup_shop:app", "--host", HOST, "--port", "PORT")
GUNICORN = ("gunicorn", "setup_shop:app", "--bind", f"{HOST}:PORT", "--access-logfile", "-")
MODES: dict[str, tuple[Sequence[str], dict[str, str]]] = {
    "untraced": (UNTRACED, {}),
    "disabled": (TRACED, {"OTEL_SDK_DISABLED": "true"}),
    "inject": (TRACED, {"OTEL_TRACEBATON_LOGS": "inject"}),
    "json": (TRACED, {}),
}


@dataclass(frozen=True)
class SetUp:
    """`access`: whether this set-up prints the access log. `disabled`: it is also run with tracing switched off, where
    nothing of tracing is there that could meet a set-up: one for each server, and for each kind of handler.
    """

    name: str
    environ: Mapping[str, str] = field(default_factory=dict)
    command: Sequence[str] = UVICORN
    access: bool = True
    disabled: bool = False

    @property
    def modes(self) -> list[str]:
        return [mode for mode in MODES if self.disabled or mode != "disabled"]


def named(name: str, setup: str = "nothing", when: str = "import", **others: Any) -> SetUp:
    environ = {"SETUP": setup, "WHEN": when, **others.pop("environ", {})}
    return SetUp(name, environ, **others)


def json_logger(version: str) -> Any:
    path = JSON_LOGGERS / version
    return pytest.param(
        named(f"python-json-logger {version}", "json_logger", "lifespan", environ={"PYTHONPATH": str(path)}),
        marks=pytest.mark.skipif(not path.is_dir(), reason=f"python-json-logger {version} is not there: NOT tested"),
    )


SET_UPS = [
    named("uvicorn's default", disabled=True),
    named("basicConfig", "basic_config"),
    named("basicConfig in the lifespan", "basic_config", "lifespan"),
    named("basicConfig twice", "basic_config", "import+lifespan"),
    named("basicConfig, forced", "basic_config_forced", "import+lifespan"),
    named("before the application is imported", command=("python", "setup_main.py", "PORT"), disabled=True),
    named("dictConfig", "dict_config"),
    named("dictConfig twice", "dict_config", "import+lifespan"),
    named("dictConfig with disable_existing_loggers", "dict_config_that_disables", "lifespan", access=False),
    named("fileConfig", "file_config"),
    named("uvicorn --log-config, YAML", command=(*UVICORN, "--log-config", "setup_log.yaml")),
    named("uvicorn --log-config, JSON", command=(*UVICORN, "--log-config", "setup_log.json")),
    named("uvicorn --log-config, ini", command=(*UVICORN, "--log-config", "setup_log.ini")),
    named("gunicorn, asgi worker", "basic_config", command=(*GUNICORN, "--worker-class", "asgi"), disabled=True),
    named(
        "gunicorn, uvicorn's worker",
        "basic_config",
        command=(*GUNICORN, "--worker-class", "uvicorn_worker.UvicornWorker"),
    ),
    named("a handler added in the lifespan", "own_handler", "lifespan"),
    named("hand-written JSON in the lifespan", "hand_written_json", "lifespan"),
    named("hand-written JSON with a trace_id", "own_trace_id", "lifespan"),
    named("python-json-logger", "json_logger", "lifespan"),
    json_logger("3"),
    json_logger("2.0.7"),
    named("JSON as the message", "json_as_message", "lifespan"),
    named("a queue", "queued"),
    named("a queue of JSON", "queued_json", disabled=True),
    named("a rotating file", "rotating", disabled=True),
    named("a file that rotates by time", "timed_rotating"),
    named("rich's handler", "rich_handler"),
    named("no terminator", "no_terminator"),
    named("coloured levels", "coloured_levels"),
    named("a coloured wrapper", "coloured_wrapper"),
    named("Google's handler", "google_handler"),
    named("many fields named by the format", "many_fields"),
]


class Ran:
    """What one run has printed: the lines of each stream, and of the files that it logged to."""

    def __init__(self, child: Child, files: Path) -> None:
        paths = sorted(files.iterdir(), key=lambda path: (path.suffix != ".log", path.name), reverse=True)
        self.streams = {
            "stdout": child.stdout.read_text(),
            "stderr": child.stderr.read_text(),
            "files": "".join(path.read_text() for path in paths),
        }
        self.files = len(paths)
        self.status = child.returncode

    @property
    def lines(self) -> list[str]:
        return [line for text in self.streams.values() for line in text.split("\n")[:-1]]

    def objects(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines if line.startswith("{")]

    def masked(self) -> dict[str, list[str]]:
        """The lines less what differs from run to run, and less this project's own."""
        masked = {}
        for name, text in self.streams.items():
            shown = re.sub(r"\S*\w+: ?tracebaton: .*\n|.*\[tracebaton\].*\n|.*Tracing is o.*\n", "", text)
            shown = re.sub(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d([,.]\d+)?( \+0000)?", "TIME", shown)
            shown = re.sub(r"\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d", "TIME", shown)
            shown = re.sub(r"127\.0\.0\.1:\d+", "ADDRESS", shown)
            shown = re.sub(r"\[\d+\]|\(\d+\)|pid: ?\d+", "PID", shown)
            masked[name] = sorted(shown.split("\n"))
        return masked


REQUESTS = ("/orders/1", "/broken", "/own", "/print", "/orders/2")
TRACE = "0af7651916cd43dd8448eb211c8031{:02}"


def run(system: System, setup: SetUp, mode: str, files: Path) -> Ran:
    launcher, environ = MODES[mode]
    files.mkdir()
    port = system.free_port()
    command = [*launcher, *(part.replace("PORT", str(port)) for part in setup.command)]
    always = {"OTEL_TRACES_EXPORTER": "none", "OTEL_SERVICE_NAME": "shop", "LOG_DIR": str(files)}
    name = f"{mode}-{port}"
    child = system.start(name, command, env={**always, **environ, **setup.environ}, cwd=APPS)
    child.wait_for_ports(port)
    with httpx.Client(base_url=f"http://{HOST}:{port}", verify=False) as client:
        for number, path in enumerate(REQUESTS):
            headers = {"traceparent": f"00-{TRACE.format(number)}-00f067aa0ba902b7-01"}
            assert client.get(path, headers=headers).status_code == 200
    child.signal(signal.SIGTERM)
    wait_for(lambda: child.returncode is not None, 15)
    assert "untraced" in name or mode == "disabled" or "Tracing is on" in child.output()
    return Ran(child, files)


@pytest.fixture(scope="module")
def processes() -> Iterator[System]:
    with System() as system:
        yield system


@pytest.fixture(params=SET_UPS, ids=lambda setup: setup.name, scope="module")
def setup(request: pytest.FixtureRequest) -> SetUp:
    assert isinstance(request.param, SetUp)
    return request.param


@pytest.fixture(scope="module")
def ran(processes: System, setup: SetUp, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ran]:
    """One run in each of its modes, all at the same time."""
    directory = tmp_path_factory.mktemp("logs")
    # The threads have to live as long as the processes: see `Child`.
    with ThreadPoolExecutor(len(MODES)) as pool:
        runs = {mode: pool.submit(run, processes, setup, mode, directory / mode) for mode in setup.modes}
        return {mode: future.result() for mode, future in runs.items()}


def words(line: Mapping[str, Any]) -> str:
    return str(line.get("message") or line.get("msg") or line.get("event"))


def of_application(lines: Sequence[dict[str, Any]], text: str) -> list[dict[str, Any]]:
    return [line for line in lines if text in words(line)]


def test_json_is_one_object_a_line_with_the_ids_of_its_request(ran: dict[str, Ran], setup: SetUp) -> None:
    lines = [line for name in ("stdout", "stderr") for line in ran["json"].streams[name].split("\n")[:-1]]
    assert [line for line in lines if not line.startswith("{")] == ["printed as it is"]
    assert ran["json"].masked()["files"] == ran["untraced"].masked()["files"]
    objects = ran["json"].objects()
    if "rotating" in setup.environ["SETUP"]:
        assert not of_application(objects, "taken")
        return
    for number, text in ((0, "order 1 taken"), (1, "that was\nnot good"), (4, "order 2 taken")):
        (line,) = of_application(objects, text)
        if setup.environ["SETUP"] == "own_trace_id":
            assert line["trace_id"] == "mine-1"
            assert not {"span_id", "trace_flags"} & line.keys()
            continue
        assert (line["trace_id"], line["trace_flags"]) == (TRACE.format(number), "01")
        assert re.fullmatch("[0-9a-f]{16}", line["span_id"])
        assert line["span_id"] != "00f067aa0ba902b7"
        for access in of_application(objects, f"GET {REQUESTS[number]} HTTP"):
            assert {name: access.get(name) for name in IDS} == {name: line[name] for name in IDS}
    assert len(of_application(objects, "GET /orders/1 HTTP")) == setup.access
    (own,) = of_application(objects, "an id of our own")
    assert own["trace_id"] == "mine-1"
    assert "span_id" not in own
    for line in of_application(objects, "closing"):
        assert not line.keys() & set(IDS) or setup.environ["SETUP"] == "own_trace_id"


def test_inject_changes_no_shape_and_adds_the_ids_to_objects(ran: dict[str, Ran], setup: SetUp) -> None:
    before, after = ran["untraced"].masked(), ran["inject"].masked()
    gained = []
    for name, lines in after.items():
        shown = [without_ids(line, gained) for line in lines]
        assert sorted(shown) == sorted(without_ids(line, []) for line in before[name])
    if setup.environ["SETUP"] == "own_trace_id":
        assert not gained
    elif setup.environ["SETUP"] == "google_handler":
        assert not gained  # made behind `Handler.format`; the real one asks for the current span
    elif any(line.startswith("{") for line in before["stderr"]):
        assert {TRACE.format(number) for number in (0, 1, 4)} <= set(gained)


def without_ids(line: str, gained: list[str]) -> str:
    """An object less the ids, which are noted; any other line as it is."""
    if not line.startswith("{"):
        return line
    fields = json.loads(line)
    if re.fullmatch("[0-9a-f]{32}", str(fields.get("trace_id"))):
        gained.append(fields["trace_id"])
    return json.dumps({name: value for name, value in fields.items() if name not in IDS})


def test_switched_off_the_output_is_what_it_was(ran: dict[str, Ran], setup: SetUp) -> None:
    """Where it is run so; see `SetUp.disabled`."""
    assert ("disabled" in ran) == setup.disabled
    assert not setup.disabled or ran["disabled"].masked() == ran["untraced"].masked()


def test_the_process_ends_as_it_did(ran: dict[str, Ran]) -> None:
    assert len({each.status for each in ran.values()}) == 1


def test_files_are_rolled_over(ran: dict[str, Ran], setup: SetUp) -> None:
    if "rotating" in setup.environ["SETUP"]:
        assert min(each.files for each in ran.values()) >= 2
    else:
        assert max(each.files for each in ran.values()) == 0
