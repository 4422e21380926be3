"""No secret is ever printed, and no environment makes the doctor fail."""

from __future__ import annotations

import io
import string
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tracebaton.doctor.finding import Status
from tracebaton.doctor.output import print_findings
from tracebaton.doctor.secrets import Secrets, shown
from tracebaton.doctor.session import examine
from tracebaton.doctor.situation import Situation
from tracebaton_configurator.settings.known import known_variables

if TYPE_CHECKING:
    from tracebaton.doctor.finding import Finding

HIDDEN = "Zq9xW-7secret7-Wx9qZ"
KNOWN = sorted(known_variables())


def printed(findings: list[Finding]) -> str:
    """As a log and as JSON."""
    stream = io.StringIO()
    for as_json in (False, True):
        print_findings(findings, None, stream, as_json=as_json, verbose=True)
    return stream.getvalue()


@pytest.mark.parametrize(
    "environ",
    [
        {"OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer {HIDDEN}"},
        {"OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer%20{HIDDEN}"},
        {"OTEL_EXPORTER_OTLP_HEADERS": HIDDEN},
        {"OTEL_EXPORTER_OTLP_TRACES_HEADERS": f"x=y,=,{HIDDEN}"},
        {"OTEL_EXPORTER_OTLP_HEADER": f"authorization={HIDDEN}"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://user:{HIDDEN}@collector:4317"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": f"user:{HIDDEN}@collector:4317"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://user:{HIDDEN}/@collector:4317"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://user:p@{HIDDEN}@collector:4317"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://user/{HIDDEN}@collector:4317"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": f"https://collector:4318/v1?api-key={HIDDEN}"},
        {"OTEL_EXPORTER_OTLP_CLIENT_KEY": HIDDEN},
        {"OTEL_RESOURCE_ATTRIBUTES": f"team=a,api.key={HIDDEN},x"},
        {"OTEL_SERVICE_TOKEN": HIDDEN},
        {"OTEL_TRACES_SAMPLR": HIDDEN},
        {"OTEL_PYTHON_DISTRO": f"x{HIDDEN}", "OTEL_DISTRO_TOKEN": f"x{HIDDEN}"},
        {
            "http_proxy": f"http://user:{HIDDEN}@proxy:3128",
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector.example:4318",
        },
        {"http_proxy": f"user:{HIDDEN}@proxy:port", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector.example:4318"},
    ],
)
def test_known_places_of_secrets(environ: dict[str, str]) -> None:
    situation = Situation(environ, ["uvicorn", "main:app"], "/app", send=False)
    assert HIDDEN not in printed(examine(situation))


@pytest.mark.parametrize(
    "command",
    [
        ["serve", f"--token={HIDDEN}"],
        [f"API_TOKEN={HIDDEN}", "uvicorn", "main:app"],
        ["opentelemetry-instrument", "--exporter_otlp_headers", f"a={HIDDEN}", "uvicorn", "main:app"],
        ["opentelemetry-instrument", "--exporter_otlp_endpoint", f"user:{HIDDEN}@c:4317", "uvicorn", "main:app"],
        ["uvicorn", f"redis://u:{HIDDEN}@h"],
    ],
)
def test_secrets_of_the_command(command: list[str]) -> None:
    assert HIDDEN not in printed(examine(Situation({}, command, "/app", send=False)))


def test_what_is_not_secret_is_shown() -> None:
    assert shown("OTEL_RESOURCE_ATTRIBUTES", "team=a,api.key=b") == "OTEL_RESOURCE_ATTRIBUTES='team=a,api.key=***'"
    assert shown("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317") == "OTEL_EXPORTER_OTLP_ENDPOINT='http://c:4317'"
    assert Secrets({"OTEL_EXPORTER_OTLP_HEADERS": "a=Bearer t0ken-value"}).scrub("Bearer") == "Bearer"


# What an environment can hold: no NUL; bytes that are no UTF-8 come as surrogates.
VALUES = st.text(st.characters(exclude_characters="\0"), max_size=40).map(lambda text: text.replace("\ufffe", ""))
LIKELY = st.sampled_from(
    [
        "true",
        "none",
        "otlp",
        "10%",
        "POST /chat=1",
        "http://localhost:4317",
        "4317",
        "-1",
        "grpc",
        "\udcff",
        "a=b",
        "[",
        "::1",
    ]
)
NAMES = st.one_of(
    st.sampled_from(KNOWN),
    st.text(string.ascii_uppercase + "_", max_size=20).map("OTEL_{}".format),
)
WORDS = st.text(string.ascii_letters + string.digits + "-._~", min_size=8, max_size=24).map("s3cret{}".format)
SECRETS = st.one_of(
    st.tuples(st.sampled_from(["OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"]), WORDS).map(
        lambda pair: (pair[0], f"authorization=Bearer {pair[1]}", pair[1])
    ),
    st.tuples(st.sampled_from(["OTEL_EXPORTER_OTLP_ENDPOINT", "http_proxy", "https_proxy"]), WORDS).map(
        lambda pair: (pair[0], f"http://user:{pair[1]}@collector.example:4317", pair[1])
    ),
    st.tuples(st.just("OTEL_EXPORTER_OTLP_CLIENT_KEY"), WORDS).map(lambda pair: (*pair, pair[1])),
    st.tuples(NAMES, WORDS).map(lambda pair: (f"{pair[0]}_TOKEN", pair[1], pair[1])),
)
COMMANDS = st.lists(
    st.one_of(
        st.sampled_from(["sh", "-c", "uvicorn", "main:app", "env", "exec", "--", "python", "-m", "gunicorn"]), VALUES
    ),
    max_size=5,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    environ=st.dictionaries(NAMES, st.one_of(VALUES, LIKELY), max_size=6),
    secret=SECRETS,
    command=COMMANDS,
    explain=st.lists(VALUES, max_size=1),
)
def test_any_environment(
    environ: dict[str, str], secret: tuple[str, str, str], command: list[str], explain: list[str]
) -> None:
    name, value, hidden = secret
    situation = Situation({**environ, name: value}, command, "/app", tuple(explain), send=False)
    findings = examine(situation)
    text = printed(findings)
    assert hidden not in text
    assert not [one for one in findings if "could not be finished" in one.message]
    assert len({one.check for one in findings}) >= 8
    assert all(one.message.isprintable() for one in findings)
    assert text.splitlines()[len(findings)].startswith("tracebaton doctor: ")


def test_a_check_that_raises_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    from tracebaton.doctor import sampling

    def broken(_: Situation) -> None:
        raise RuntimeError("no luck")

    monkeypatch.setattr(sampling, "check", broken)
    findings = examine(Situation({}, (), "/app", send=False))
    (finding,) = [one for one in findings if one.check == "sampling"]
    assert finding.status is Status.ERROR
    assert finding.message == "this check could not be finished: RuntimeError: no luck"
    assert findings[-1].check == "receiver"
