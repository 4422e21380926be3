"""The ids of a request in the threads that it starts, in executors, and in what runs on for long."""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from harness import TRACED, UNTRACED
from log_lines import get, ids_in, objects, printed, start

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness import System

# See the Makefile.
THREADING = Path(sys.prefix, "threading-instrumentation")
NATIVE = {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "fastapi"}
REQUESTS = {"/thread": 1, "/subclass": 2, "/timer": 1, "/executor": 2, "/submit": 1}


def by_path(lines: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found = defaultdict(list)
    for line in lines:
        if line["logger"] == "threads":
            found[re.match(r"/\w+|\(\w+\)", line["message"])[0]].append(line)  # type: ignore[index]
    return found


@pytest.fixture(params=[{}, {"OTEL_TRACES_SAMPLER_ARG": "0"}, NATIVE], ids=["sampled", "unsampled", "native"])
def environ(request: pytest.FixtureRequest) -> dict[str, str]:
    return request.param


def test_what_a_request_starts_has_its_ids(system: System, environ: dict[str, str]) -> None:
    url = start(system, "threads", "threads_app", TRACED, **environ)
    get(url, *REQUESTS, "/pools")
    system.stop_agents()
    lines = by_path(objects(printed(system, "threads")))
    traces = []
    for path, count in REQUESTS.items():
        assert len(lines[path]) == count
        (ids,) = {tuple(ids_in(line).items()) for line in lines[path]}
        assert len(ids) == 3
        traces.append(ids)
    assert len(set(traces)) == len(REQUESTS)
    for worker in ("(pool)", "(executor)"):
        (line,) = lines[worker]
        assert ids_in(line) == {}


def test_what_a_thread_runs_finds_what_it_finds_without_tracing(system: System) -> None:
    answers = []
    for name, launcher in (("plain", UNTRACED), ("traced", TRACED)):
        url = start(system, name, "threads_app", launcher)
        answers.append([httpx.get(f"{url}{path}").json() for path in ("/submit", "/traceback")])
    assert answers[0] == answers[1]
    assert answers[0][0] == "by the initializer"


def test_what_still_runs_long_after_the_answer_has_none(system: System, environ: dict[str, str]) -> None:
    url = start(system, "long", "threads_app", TRACED, OTEL_TRACEBATON_DETACH_AFTER="0.001ms", **environ)
    get(url, "/outlives", "/background", "/release")
    system.stop_agents()
    lines = by_path(objects(printed(system, "long")))
    in_background = [line for line in lines["(outlives)"] if line["message"].endswith("background")]
    others = [line for line in lines["(outlives)"] if not line["message"].endswith("background")]
    assert len(others) == 3
    assert [ids_in(line) for line in others] == [{}] * 3
    # Upstream makes a span of a background task, which lasts as long as that; it begins too late to be the request's.
    (ids,) = map(ids_in, in_background)
    (handler,) = lines["(handler)"]
    assert ids["trace_id"] != handler["trace_id"]


def test_until_then_it_keeps_them(system: System) -> None:
    url = start(system, "long", "threads_app", TRACED)
    get(url, "/outlives", "/release")
    system.stop_agents()
    lines = by_path(objects(printed(system, "long")))
    assert len(lines["(outlives)"]) == 3
    (ids,) = {tuple(ids_in(line).items()) for line in (*lines["/outlives"], *lines["(outlives)"])}
    assert len(ids) == 3


@pytest.mark.skipif(not THREADING.is_dir(), reason="opentelemetry-instrumentation-threading is not there: NOT tested")
def test_upstreams_instrumentation_goes_first(system: System) -> None:
    url = start(system, "upstream", "threads_app", TRACED, PYTHONPATH=str(THREADING))
    reason = "opentelemetry-instrumentation-threading is installed"
    assert httpx.get(f"{url}/patched").json() == f'[["declined", "{reason}"], ["declined", "{reason}"]]'
    get(url, "/thread", "/executor")
    system.stop_agents()
    lines = by_path(objects(printed(system, "upstream")))
    assert all(len(ids_in(line)) == 3 for path in ("/thread", "/executor") for line in lines[path])


@pytest.mark.parametrize("patch", ["threads", "executors"])
def test_each_can_be_left_out(system: System, patch: str) -> None:
    url = start(system, "left-out", "threads_app", TRACED, OTEL_TRACEBATON_DISABLED_PATCHES=patch)
    get(url, "/thread", "/executor")
    system.stop_agents()
    lines = by_path(objects(printed(system, "left-out")))
    assert [bool(ids_in(lines[path][0])) for path in ("/thread", "/executor")] == [
        patch != "threads",
        patch != "executors",
    ]
