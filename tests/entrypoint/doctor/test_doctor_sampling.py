"""The rules in words, and which one decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tracebaton.doctor.finding import Status

if TYPE_CHECKING:
    from conftest import Examine

RULES = "POST /agents/{name}/chat=1, GET /items/*=25%, CLIENT XREAD=0, PRODUCER *=2/s, *=10/s+10%"


def messages(diagnose: Examine, rules: str | None, *explain: str) -> list[str]:
    environ = {} if rules is None else {"OTEL_TRACES_SAMPLER_ARG": rules}
    return [one.message for one in diagnose(environ, check="sampling", explain=explain)]


def test_rules_in_words(diagnose: Examine) -> None:
    assert messages(diagnose, RULES) == [
        "rule 1, POST /agents/{name}/chat=100%: of POST requests to /agents/{name}/chat, all",
        "rule 2, GET /items/*=25%: of GET requests to /items/*, 25 %",
        "rule 3, CLIENT XREAD=0%: of CLIENT spans without a parent called XREAD, none",
        "rule 4, PRODUCER *=2/s: of PRODUCER spans without a parent, about 2 a second of each endpoint",
        "rule 5, *=10/s+10%: of everything else, the first 10 of every second of each endpoint, and 10 % of what is "
        "beyond",
    ]


def test_the_default_rules_say_that_they_are(diagnose: Examine) -> None:
    found = messages(diagnose, None)
    assert len(found) == 7
    assert all(message.endswith(", by default") for message in found)


@pytest.mark.parametrize(
    ("request_", "decided"),
    [
        ("POST /agents/a/chat", "POST /agents/a/chat: rule 1 decides, POST /agents/{name}/chat=100%"),
        ("get /items/7?secret=hidden", "GET /items/7?secret=hidden: rule 2 decides"),
        ("/items/7", "GET /items/7: rule 2 decides"),
        ("POST /agents/a/b/chat", "POST /agents/a/b/chat: rule 5 decides"),
        ("CLIENT XREAD", "CLIENT XREAD: rule 3 decides"),
        ("client BLPOP", "CLIENT BLPOP: none without a parent, as no rule names a Redis command that waits"),
        ("internal loop", "INTERNAL loop: rule 5 decides"),
    ],
)
def test_explain(diagnose: Examine, request_: str, decided: str) -> None:
    assert messages(diagnose, RULES, request_)[-1].startswith(decided)


def test_explain_by_the_default_rules(diagnose: Examine) -> None:
    assert messages(diagnose, "POST /chat=1", "GET /health")[-1].startswith(
        "GET /health: rule 2 of the defaults decides"
    )


@pytest.mark.parametrize(
    ("command", "environ"),
    [
        (["uvicorn", "main:app", "--root-path", "/api"], {}),
        (["uvicorn", "main:app", "--root-path=/api"], {}),
        (["sh", "-c", "exec uvicorn main:app --root-path /api/"], {}),
        (["uvicorn", "main:app"], {"UVICORN_ROOT_PATH": "/api"}),
    ],
)
@pytest.mark.parametrize("path", ["/health", "/api/health"])
def test_explain_knows_the_root_path(diagnose: Examine, command: list[str], environ: dict[str, str], path: str) -> None:
    finding = diagnose(environ, command, check="sampling", explain=(f"GET {path}",))[-1]
    assert finding.message.startswith(f"GET {path}: rule 1 of the defaults decides")


@pytest.mark.parametrize("nonsense", ["", "POST", "  "])
def test_explain_nonsense(diagnose: Examine, nonsense: str) -> None:
    finding = diagnose(check="sampling", explain=(nonsense,))[-1]
    assert (finding.status, finding.remedy[:27]) == (Status.ERROR, "write a method and a path, ")


def test_a_rule_behind_one_for_everything_is_never_reached(diagnose: Examine) -> None:
    (finding,) = [
        one
        for one in diagnose({"OTEL_TRACES_SAMPLER_ARG": "*=10%, POST /chat=1"}, check="sampling")
        if one.status is not Status.OK
    ]
    assert finding.status is Status.WARNING
    assert finding.message.startswith("rule 2, POST /chat=100%, is never reached")


def test_wrong_rules_are_an_error_and_the_default_ones_apply(diagnose: Examine) -> None:
    findings = diagnose({"OTEL_TRACES_SAMPLER_ARG": "/a=1, POST /chat=1O%"}, check="sampling")
    assert findings[0].status is Status.ERROR
    assert "is wrong in rule 2, 'POST /chat=1O%'" in findings[0].message
    assert len(findings) == 8


@pytest.mark.parametrize(
    ("sampler", "argument", "status", "said"),
    [
        ("always_on", None, Status.WARNING, "every request is recorded, whatever the caller has decided"),
        ("parentbased_always_off", None, Status.OK, "of what has none, no request is recorded"),
        ("parentbased_traceidratio", "0.25", Status.OK, "25 % of all requests are recorded"),
        (
            "traceidratio",
            "10%",
            Status.ERROR,
            "OTEL_TRACES_SAMPLER_ARG='10%' is not a ratio (expected a number from 0 to 1",
        ),
        ("always-on", None, Status.ERROR, "OTEL_TRACES_SAMPLER='always-on' is unknown (did you mean always_on?)"),
    ],
)
def test_standard_samplers(diagnose: Examine, sampler: str, argument: str | None, status: Status, said: str) -> None:
    environ = {"OTEL_TRACES_SAMPLER": sampler} | ({"OTEL_TRACES_SAMPLER_ARG": argument} if argument else {})
    finding = diagnose(environ, check="sampling")[0]
    assert finding.status is status
    assert said in finding.message


def test_rules_given_to_another_sampler(diagnose: Examine) -> None:
    environ = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "POST /chat=1"}
    assert diagnose(environ, check="sampling")[0].remedy == (
        "unset OTEL_TRACES_SAMPLER: rules are for the sampler tracebaton"
    )
