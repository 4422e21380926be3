"""The settings as the application would have them, each with where it comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracebaton.doctor.finding import Finding, ok, warning
from tracebaton_configurator.names import is_otlp
from tracebaton_configurator.settings.service_name import says_nothing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tracebaton.doctor.situation import Situation
    from tracebaton_configurator.settings import Settings

_LOGS = {
    "json": "log lines become JSON objects with the ids",
    "inject": "log lines keep the application's formats and get the ids",
    "off": "log lines stay as they are, without ids",
}


def check(situation: Situation) -> Iterator[Finding]:
    here = situation.settings
    if here.disabled:
        yield warning("tracing is off: OTEL_SDK_DISABLED=true", "unset it, or set it to false, to switch tracing on")
        return
    yield _service(situation)
    yield from _exporters(here)
    yield ok(
        f"{_LOGS[here.logs]}; the exit takes {here.shutdown_timeout:g} s at most; a batch is sent every "
        f"{here.batch_delay_ms} ms, and {here.queue_size} spans may wait"
    )
    kept = ["end 5xx"] if here.keep_errors else []
    if here.keep_slower_than:
        until = "last" if here.keep_slower_than_total else "first"
        kept.append(f"take longer than {here.keep_slower_than:g} s (to the {until} byte of a stream)")
    whole = ", with the spans of their calls" if here.keep == "trace" else ""
    said = f"requests that {' or '.join(kept)} are kept even when not sampled{whole}"
    trust = here.trust_parent
    whose = f"continued from {', '.join(map(str, trust))}" if isinstance(trust, tuple) else "continued"
    yield ok(
        f"{said if kept else 'what is not sampled is never kept'}; the trace of a caller is "
        f"{whose if trust else 'linked, not continued'}"
    )
    if here.shutdown_timeout > 9:
        yield warning(
            f"OTEL_TRACEBATON_SHUTDOWN_TIMEOUT is {here.shutdown_timeout:g} s, and `docker stop` kills after 10 s",
            "set it below the grace period, or raise that: docker stop --time, stop_grace_period",
        )


def _service(situation: Situation) -> Finding:
    name = situation.settings.service_name
    if not situation.settings.service_name_derived:
        return ok(f"the service is called {name!r}")
    source = "the command" if situation.launch.program else "this directory, as no command was given"
    if says_nothing(name):
        return warning(
            f"the service would be called {name!r}, derived from {source}: half of all services are",
            "set OTEL_SERVICE_NAME",
        )
    return ok(f"the service is called {name!r}, derived from {source}; OTEL_SERVICE_NAME sets another")


def _exporters(here: Settings) -> Iterator[Finding]:
    names, variable = here.traces_exporters, here.deciding("OTEL_TRACES_EXPORTER")
    over_otlp = [name for name in names if is_otlp(name)]
    if not names:
        yield warning(f"spans are not exported: {variable}=none", "unset it to send them to a Collector")
    for name in over_otlp:
        yield ok(f"spans go to {here.endpoint} over {here.endpoint.protocol} (exporter {name})")
    if "console" in names:
        yield warning(
            f"spans are printed on standard output ({variable}=console), between the lines of the application",
            "unset it when you have seen enough",
        )
    if len(over_otlp) > 1:
        yield warning(f"{variable}={','.join(names)} sends each span several times over OTLP", "leave one of them")
