"""Who configures tracing, and what keeps the launcher from starting at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tracebaton.doctor import launcher
from tracebaton.doctor.finding import Status

if TYPE_CHECKING:
    from conftest import Examine

CHOSEN = {"OTEL_PYTHON_DISTRO": "tracebaton", "OTEL_PYTHON_CONFIGURATOR": "tracebaton"}
BARE = ["opentelemetry-instrument", "uvicorn", "main:app"]
RUN = ["tracebaton", "run", "uvicorn", "main:app"]


@pytest.fixture(autouse=True)
def _upstreams_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is the first depends on the order in which a directory lists what is installed."""
    in_their_order = launcher.names_in
    monkeypatch.setattr(launcher, "names_in", lambda group: sorted(in_their_order(group)))


def test_without_a_command_the_bare_launcher_is_warned_about(diagnose: Examine) -> None:
    bare, run = diagnose(check="launcher")
    assert bare.status is Status.WARNING
    assert "OTEL_PYTHON_DISTRO is not set, the first of distro and tracebaton is taken" in bare.message
    assert "OTEL_PYTHON_DISTRO=tracebaton and OTEL_PYTHON_CONFIGURATOR=tracebaton" in bare.remedy
    assert run.status is Status.OK


@pytest.mark.parametrize("chosen", [{}, {"OTEL_PYTHON_CONFIGURATOR": "tracebaton"}])
def test_to_be_the_first_is_chance(diagnose: Examine, monkeypatch: pytest.MonkeyPatch, chosen: dict[str, str]) -> None:
    monkeypatch.setattr(launcher, "names_in", lambda _: ["tracebaton", "distro"])
    for command in ([], BARE):
        bare, run = diagnose(chosen, command, check="launcher")
        assert bare.status is Status.WARNING
        assert "by chance" in bare.message
        assert "OTEL_PYTHON_DISTRO=tracebaton and OTEL_PYTHON_CONFIGURATOR=tracebaton" in bare.remedy
        assert run.status is Status.OK
    assert [one.status for one in diagnose(chosen, RUN, check="launcher")] == [Status.OK, Status.OK]
    monkeypatch.setattr(launcher, "names_in", lambda _: ["tracebaton"])
    assert [one.status for one in diagnose(chosen, BARE, check="launcher")] == [Status.OK, Status.OK]


def test_the_way_that_the_command_takes_is_the_one_in_error(diagnose: Examine) -> None:
    assert [one.status for one in diagnose({}, BARE, check="launcher")] == [Status.ERROR, Status.OK]
    assert [one.status for one in diagnose({}, RUN, check="launcher")] == [Status.OK, Status.OK]


def test_all_is_well_where_both_are_chosen(diagnose: Examine) -> None:
    for command in (BARE, RUN, []):
        assert {one.status for one in diagnose(CHOSEN, command, check="launcher")} == {Status.OK}


@pytest.mark.parametrize("value", ["tracebatton", "distro"])
@pytest.mark.parametrize("variable", CHOSEN)
@pytest.mark.parametrize("command", [BARE, RUN])
def test_another_choice_is_an_error(diagnose: Examine, variable: str, value: str, command: list[str]) -> None:
    findings = diagnose({**CHOSEN, variable: value}, command, check="launcher")
    (finding,) = [one for one in findings if one.status is Status.ERROR]
    if value == "distro":
        reason = f"{variable} says so" if variable == "OTEL_PYTHON_DISTRO" else f"{variable}='distro' is none of"
        assert reason in finding.message
    else:
        assert f"{variable}='tracebatton' is none of" in finding.message
        assert "(did you mean tracebaton?)" in finding.message
    assert finding.remedy == f"set {variable}=tracebaton, or unset what is set"


def test_an_empty_variable_names_none_for_upstreams_loader(diagnose: Examine) -> None:
    findings = diagnose({"OTEL_PYTHON_DISTRO": "", "OTEL_PYTHON_CONFIGURATOR": "tracebaton"}, BARE, check="launcher")
    assert "OTEL_PYTHON_DISTRO='' is none of" in findings[0].message
    assert findings[0].status is Status.ERROR


def test_two_launchers_are_one_too_many(diagnose: Examine) -> None:
    findings = diagnose(CHOSEN, ["tracebaton", "run", *BARE], check="launcher")
    assert findings[-1].message.startswith("the command has 2 launchers")


@pytest.mark.parametrize(
    ("value", "status", "said"),
    [
        ("tracecontext,baggage", None, ""),
        ("tracecontext,b3", Status.ERROR, "under `opentelemetry-instrument` the start ends with a traceback"),
        ("tracecontext,bagage", Status.ERROR, "using tracecontext (did you mean baggage?)"),
        ("tracecontext,", None, ""),
        ("none", Status.WARNING, "every service has traces of its own"),
        ("baggage", Status.WARNING, "has no tracecontext"),
        (" ", None, ""),
    ],
)
def test_propagators(diagnose: Examine, value: str, status: Status | None, said: str) -> None:
    findings = [
        one for one in diagnose({**CHOSEN, "OTEL_PROPAGATORS": value}, check="launcher") if "PROPAGATORS" in one.message
    ]
    assert [one.status for one in findings] == ([] if status is None else [status])
    assert all(said in one.message for one in findings)


def test_what_tracebaton_run_mends_ends_upstreams_launcher(diagnose: Examine) -> None:
    finding = diagnose({**CHOSEN, "OTEL_PROPAGATORS": "tracecontext,"}, BARE, check="launcher")[-1]
    assert finding.status is Status.ERROR
    assert "the start ends with a traceback" in finding.message
    assert finding.remedy == "write OTEL_PROPAGATORS=tracecontext, or use `tracebaton run`"


def test_b3_comes_with_a_package(diagnose: Examine) -> None:
    findings = diagnose({"OTEL_PROPAGATORS": "b3"}, check="launcher")
    assert findings[-1].remedy == "pip install opentelemetry-propagator-b3"
