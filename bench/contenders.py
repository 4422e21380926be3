"""Who is measured: the same application and the same server, started in a dozen ways."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

BARE = "bare"
BARE_SNIFFIO = "bare, sniffio"
Rate = Callable[[str], dict[str, str]]


@dataclass(frozen=True)
class Contender:
    """One way to start the application.

    `share` is the share of requests that it shall record, checked against what arrives at the sink. `never` and
    `always` are the variables that make the same sampler record no request and every request: what 10 % costs is
    counted as nine parts of the one and one part of the other, because instructions repeat only without chance. `then`
    is a command of the same environment, for the processes of one service, that is run once the server listens. `http`
    is for one that speaks OTLP over HTTP and not over gRPC.
    """

    name: str
    venv: str
    prefix: tuple[str, ...] = ()
    then: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    share: float = 0.0
    never: Mapping[str, str] = field(default_factory=dict)
    always: Mapping[str, str] = field(default_factory=dict)
    http: bool = False
    quick: bool = False  # part of a quick run
    everywhere: bool = False  # also in the scenarios that have no target


TEN_PERCENT = 0.1
# In `never`: so small that no request is recorded, and not 0, for which a sampler may take a shorter way.
_NEXT_TO_NOTHING = "0.0000001"
# One second, which is tracebaton's own default, for all: so a round's spans are exported within the round.
_OTEL = {"OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none", "OTEL_BSP_SCHEDULE_DELAY": "1000"}
_OFF = {"OTEL_TRACES_SAMPLER": "always_off"}
_DISABLED = {"OTEL_SDK_DISABLED": "true"}
_UNCONTROLLED = {
    "PYTHONPATH": str(Path(__file__).resolve().parent / "uncontrolled"),
    "OTEL_PYTHON_DISTRO": "tracebaton",
    "OTEL_PYTHON_CONFIGURATOR": "tracebaton",
}
_UPSTREAM = {**_OTEL, "OTEL_PYTHON_DISTRO": "distro", "OTEL_PYTHON_CONFIGURATOR": "configurator"}
# Its distro's and configurator's name is left to its own package; the detectors that ask the clouds' metadata services
# are not among these.
_ELASTIC = {
    **_OTEL,
    "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": "process_runtime,os,telemetry_distro,service_instance,otel",
}
# Where it sends to is its own variable; see `System.start_server`.
_DASH0 = {**_OTEL, "DASH0_DISABLE": "false"}
_LOGFIRE = {**_OTEL, "LOGFIRE_SEND_TO_LOGFIRE": "false", "LOGFIRE_CONSOLE": "false"}
# Nothing but traces, and nothing that would leave this machine.
_DATADOG = {
    "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
    "DD_REMOTE_CONFIGURATION_ENABLED": "false",
    "DD_CRASHTRACKING_ENABLED": "false",
    "DD_RUNTIME_METRICS_ENABLED": "false",
    "DD_TRACE_STARTUP_LOGS": "false",
    "DD_TRACE_API_VERSION": "v0.4",  # the format that the sink can count in
    "DD_TRACE_RATE_LIMIT": "1000000",  # its default of 100 a second would end the sampling of 10 %
}


def contenders(*, rules: bool = True) -> list[Contender]:
    """All of them, the bare one first.

    `rules=False` gives tracebaton the specification's sampler in place of its own.
    """
    rate = _rules if rules else _ratio
    return [
        Contender(BARE, BARE, quick=True, everywhere=True),
        # What httpx costs with a package that httpcore looks for at every request, and that tracebaton brings along.
        Contender(BARE_SNIFFIO, "bare-sniffio", quick=True, everywhere=True),
        *_set("tracebaton", ("tracebaton", "run"), _OTEL, rate),
        *_live(rate),
        *_set("upstream", ("opentelemetry-instrument",), _UPSTREAM, _ratio),
        _ten_percent("ddtrace", ("ddtrace-run",), _DATADOG, _datadog_rules),
        _ten_percent("elastic", ("opentelemetry-instrument",), _ELASTIC, _ratio),
        replace(_ten_percent("dash0", ("opentelemetry-instrument",), _DASH0, _ratio), http=True),
        replace(_ten_percent("logfire", ("logfire", "run", "--no-summary"), _LOGFIRE, _logfire_rate), http=True),
    ]


def _set(venv: str, prefix: tuple[str, ...], env: dict[str, str], rate: Rate) -> list[Contender]:
    """One distribution at all settings; a quick run has all of tracebaton's, and upstream's that are compared first."""
    own = venv == "tracebaton"

    def at(setting: str, extra: dict[str, str], share: float = 0.0, *, everywhere: bool = False) -> Contender:
        quick = own or setting != "off"
        everything = {**env, **extra}
        return Contender(f"{venv} {setting}", venv, prefix, (), everything, share, quick=quick, everywhere=everywhere)

    return [
        *([at("default", {}, TEN_PERCENT)] if own else []),
        replace(_ten_percent(venv, prefix, env, rate), quick=True),
        at("100 %", rate("1"), 1.0, everywhere=True),
        at("off", _OFF),
        at("disabled", _DISABLED, everywhere=own),
    ]


def _ten_percent(venv: str, prefix: tuple[str, ...], env: dict[str, str], rate: Rate) -> Contender:
    return Contender(
        f"{venv} 10 %",
        venv,
        prefix,
        (),
        {**env, **rate(str(TEN_PERCENT))},
        TEN_PERCENT,
        never=rate(_NEXT_TO_NOTHING),
        always=rate("1"),
        everywhere=True,
    )


def _live(rate: Rate) -> list[Contender]:
    """Switched off while it runs, to be held against `disabled`; 10 % without the thread for that; 10 % without notes
    of the calls of unsampled requests (`OTEL_TRACEBATON_KEEP=span`).
    """
    switched_off = Contender(
        "tracebaton switched off", "tracebaton", ("tracebaton", "run"), ("tracebaton", "off"), {**_OTEL, **rate("1")}
    )
    ten_percent = _ten_percent("tracebaton", (), {**_OTEL, **_UNCONTROLLED}, rate)
    spans_only = _ten_percent("tracebaton", ("tracebaton", "run"), {**_OTEL, "OTEL_TRACEBATON_KEEP": "span"}, rate)
    return [
        switched_off,
        replace(ten_percent, name="tracebaton 10 % uncontrolled", everywhere=False),
        replace(spans_only, name="tracebaton 10 % span", everywhere=False),
    ]


def _ratio(rate: str) -> dict[str, str]:
    return {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": rate}


def _rules(rate: str) -> dict[str, str]:
    percent = f"{float(rate) * 100:.9f}".rstrip("0").rstrip(".")
    return {"OTEL_TRACES_SAMPLER": "tracebaton", "OTEL_TRACES_SAMPLER_ARG": f"{percent}%"}


def _logfire_rate(rate: str) -> dict[str, str]:
    return {"LOGFIRE_TRACE_SAMPLE_RATE": rate}


def _datadog_rules(rate: str) -> dict[str, str]:
    return {"DD_TRACE_SAMPLING_RULES": f'[{{"sample_rate":{rate}}}]'}


def select(
    available: list[Contender], names: list[str] | None, *, quick: bool = False, everywhere: bool = False
) -> list[Contender]:
    """Those that `names` asks for (`tracebaton`, `upstream-10`), or the default set; the bare one always.

    Raises ValueError for a name that fits none.
    """
    if names is None:
        return [each for each in available if (each.quick or not quick) and (each.everywhere or not everywhere)]
    for name in names:
        if not any(_fits(each, name) for each in available):
            raise ValueError(f"there is no contender {name!r}; there are {', '.join(slug(e.name) for e in available)}")
    return [each for each in available if each.name == BARE or any(_fits(each, name) for name in names)]


def is_counted(contender: Contender, routes: int) -> bool:
    """Counting instructions takes long: with many routes only what matters most, bare and the two at 10 %."""
    if routes > 1:
        return contender.name in {BARE, "tracebaton 10 %", "upstream 10 %"}
    return contender.venv in {BARE, "bare-sniffio", "tracebaton"} or contender.name == "upstream 10 %"


def slug(name: str) -> str:
    """The name as one word for a file, a service name or the command line: `upstream 10 %` is `upstream-10`."""
    return "-".join(name.replace("%", "").replace(",", "").split())


def _fits(contender: Contender, name: str) -> bool:
    wanted = slug(name)
    return slug(contender.name) == wanted or contender.venv == wanted
