"""The single mistakes of the first hour, each with what has to be said about it, cause and remedy in one line.

The list is the test: `IN_THE_LOG` is what the application prints under a launcher, `BY_THE_DOCTOR` what `tracebaton
doctor` prints.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from importlib.metadata import distribution, version

from launches import CHOSEN

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
APP = "from fastapi import FastAPI\n\napp = FastAPI()\n"
# What stands for it in the tables below is known when the test runs.
DEAD, GRPC, HTTP = "{dead}", "{grpc}", "{http}"
# Something that is traced: of a process that traces nothing, nothing is said.
PYTHON = (
    sys.executable,
    "-c",
    "import redis; from opentelemetry import trace; trace.get_tracer('t').start_span('x').end()\n"
    "print('the application runs')",
)


# Who is the first depends on the order in which a directory lists what is installed: this one is before all others.
UPSTREAMS_FIRST = {
    f"site/opentelemetry_distro-{version('opentelemetry-distro')}.dist-info/{name}": text
    for name in ("METADATA", "entry_points.txt")
    if (text := distribution("opentelemetry-distro").read_text(name)) is not None
}


@dataclass(frozen=True)
class Mistake:
    """`environ` and `command` make it; one line has all of `said`. `runs`: the application does all the same."""

    what: str
    environ: dict[str, str]
    said: tuple[str, ...]
    command: tuple[str, ...] = PYTHON
    launcher: tuple[str, ...] = ("tracebaton", "run")
    runs: bool = True
    files: dict[str, str] = field(default_factory=dict)


def doctor(what: str, environ: dict[str, str], *said: str, command: str = "", **files: str) -> Mistake:
    return Mistake(
        what, environ, said, tuple(command.split("|")) if command else (), ("tracebaton", "doctor"), files=files
    )


IN_THE_LOG = [
    Mistake(
        "a sampler's name is misspelled",
        {"OTEL_TRACES_SAMPLER": "traceidratoi"},
        ("OTEL_TRACES_SAMPLER='traceidratoi' is unknown", "traceidratio", "no request is recorded"),
    ),
    Mistake(
        "a ratio is written as a percentage",
        {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "10%"},
        ("OTEL_TRACES_SAMPLER_ARG='10%' is not a ratio", "a number from 0 to 1", "the default rules apply"),
    ),
    Mistake(
        "a rate has a letter for a digit",
        {"OTEL_TRACES_SAMPLER_ARG": "POST /chat=1O%"},
        ("is wrong in rule 1, 'POST /chat=1O%'", "rate must be 0..1, N%, N/s or N/s+P%"),
    ),
    Mistake(
        "a path without a slash",
        {"OTEL_TRACES_SAMPLER_ARG": "chat=1"},
        ("OTEL_TRACES_SAMPLER_ARG='chat=1' is wrong in rule 1", "path must start with / or *"),
    ),
    Mistake(
        "an exporter's name is misspelled",
        {"OTEL_TRACES_EXPORTER": "otpl"},
        ("OTEL_TRACES_EXPORTER='otpl' is unknown", "otlp", "it is left out"),
    ),
    Mistake(
        "an exporter contradicts none",
        {"OTEL_TRACES_EXPORTER": "otlp,none"},
        ("OTEL_TRACES_EXPORTER='otlp,none' combines none with other names", "using none"),
    ),
    Mistake(
        "a protocol's name is misspelled",
        {"OTEL_EXPORTER_OTLP_PROTOCOL": "http", ENDPOINT: "http://127.0.0.1:4318"},
        ("OTEL_EXPORTER_OTLP_PROTOCOL='http' is unknown", "grpc or http/protobuf", "the endpoint's port decides"),
    ),
    Mistake(
        "the endpoint has no scheme",
        {ENDPOINT: "otel-collector:4317"},
        (f"{ENDPOINT}='otel-collector:4317' has no scheme", "http://HOST:PORT", "http:// is assumed"),
    ),
    Mistake(
        "the endpoint's port is no number",
        {ENDPOINT: "http://otel-collector:grpc"},
        (f"{ENDPOINT}='http://otel-collector:grpc' is not a URL of a receiver", "http://HOST:PORT"),
    ),
    Mistake(
        "a duration has no unit",
        {"OTEL_TRACEBATON_SHUTDOWN_TIMEOUT": "5"},
        ("OTEL_TRACEBATON_SHUTDOWN_TIMEOUT='5' is not a duration", "250ms, 2s or 1m", "using 5s"),
    ),
    Mistake(
        "a timeout in milliseconds where seconds are read",
        {"OTEL_EXPORTER_OTLP_TIMEOUT": "10000"},
        ("OTEL_EXPORTER_OTLP_TIMEOUT=10000 is read as milliseconds, 10s",),
    ),
    Mistake(
        "a boolean is written as a number",
        {"OTEL_SDK_DISABLED": "1"},
        ("OTEL_SDK_DISABLED='1' is not a boolean", "true or false", "using false"),
    ),
    Mistake(
        "a mode that there is not",
        {"OTEL_TRACEBATON_LOGS": "yaml"},
        ("OTEL_TRACEBATON_LOGS='yaml' is unknown", "json, inject, off", "using json"),
    ),
    Mistake(
        "a header without a name",
        {"OTEL_EXPORTER_OTLP_HEADERS": "my-secret-token"},
        ("OTEL_EXPORTER_OTLP_HEADERS='***' has a part without a name", "name=value,name=value"),
    ),
    Mistake(
        "networks that are none",
        {"OTEL_TRACEBATON_TRUST_PARENT": "10.0.0.0/33"},
        ("OTEL_TRACEBATON_TRUST_PARENT='10.0.0.0/33' is neither a boolean nor a list of networks",),
    ),
    Mistake(
        "a limit that is no number",
        {"OTEL_ATTRIBUTE_COUNT_LIMIT": "many"},
        ("OTEL_ATTRIBUTE_COUNT_LIMIT='many' is not a limit", "a whole number from 0", "using 128"),
    ),
    Mistake(
        "a resource attribute without a value",
        {"OTEL_RESOURCE_ATTRIBUTES": "production"},
        ("OTEL_RESOURCE_ATTRIBUTES='production' is wrong in part 1", "key=value,key=value", "that part is left out"),
    ),
    Mistake(
        "an argument for a sampler that has none",
        {"OTEL_TRACES_SAMPLER": "always_on", "OTEL_TRACES_SAMPLER_ARG": "0.1"},
        ("OTEL_TRACES_SAMPLER_ARG='0.1' has no effect on the sampler always_on", "always_on decides"),
    ),
    Mistake(
        "a variable contradicts the endpoint's scheme",
        {ENDPOINT: "https://127.0.0.1:4317", "OTEL_EXPORTER_OTLP_INSECURE": "true"},
        ("OTEL_EXPORTER_OTLP_INSECURE='true' contradicts the https:// of the endpoint", "using TLS"),
    ),
    Mistake(
        "a propagator that is not installed",
        {"OTEL_PROPAGATORS": "b3"},
        ("OTEL_PROPAGATORS='b3' has 'b3', which no installed package provides", "using tracecontext,baggage"),
    ),
    Mistake(
        "the same under upstream's launcher, which dies of it",
        {"OTEL_PROPAGATORS": "b3", **CHOSEN},
        ("Propagator b3 not found. It is either misspelled or not installed",),
        launcher=("opentelemetry-instrument",),
        runs=False,
    ),
    Mistake(
        "a wrong setting under STRICT",
        {"OTEL_TRACEBATON_LOGS": "yaml", "OTEL_TRACEBATON_STRICT": "true"},
        ("OTEL_TRACEBATON_STRICT=true: the process ends here with status 78",),
        runs=False,
    ),
    Mistake(
        "nobody chose this distro",
        {},
        (
            "another OpenTelemetry distro and configurator is active in this process",
            "set OTEL_PYTHON_DISTRO=tracebaton",
        ),
        launcher=("opentelemetry-instrument",),
        files=UPSTREAMS_FIRST,
    ),
    Mistake(
        "the distro's name is misspelled",
        {"OTEL_PYTHON_DISTRO": "tracebatton"},
        ("another OpenTelemetry distro is active in this process", "set OTEL_PYTHON_DISTRO=tracebaton"),
    ),
    Mistake(
        "tracing was switched off, and forgotten",
        {"OTEL_SDK_DISABLED": "true"},
        ("Tracing is off: OTEL_SDK_DISABLED=true.",),
        command=("uvicorn", "--version"),
        runs=False,
    ),
    Mistake(
        "the exporter was switched off, and forgotten",
        {"OTEL_TRACES_EXPORTER": "none"},
        ("Tracing is on", "spans are not exported (OTEL_TRACES_EXPORTER=none)"),
    ),
    Mistake(
        "metrics make every request expensive",
        {"OTEL_METRICS_EXPORTER": "console"},
        ("unsampled requests take upstream's path, because metrics are exported",),
    ),
    Mistake(
        "the program's name is misspelled",
        {},
        ("the command 'uvicon' is not on the PATH",),
        command=("uvicon", "main:app"),
        runs=False,
    ),
    Mistake(
        "a library is too old for its instrumentation",
        {},
        ("Instrumentation redis was skipped: it is for redis", "and redis 2.0.0 is installed"),
        files={"site/redis-2.0.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: redis\nVersion: 2.0.0\n"},
    ),
]

BY_THE_DOCTOR = [
    doctor("a variable's name is misspelled", {"OTEL_TRACES_SAMPLR": "always_on"},
           "OTEL_TRACES_SAMPLR is unknown (did you mean OTEL_TRACES_SAMPLER?)", "nothing reads it"),
    doctor("a variable without its prefix", {"OTLP_ENDPOINT": "http://c:4317"},
           "OTLP_ENDPOINT is unknown (did you mean OTEL_EXPORTER_OTLP_ENDPOINT?)"),
    doctor("propagators that upstream's launcher dies of", {"OTEL_PROPAGATORS": "b3"},
           "OTEL_PROPAGATORS='b3' has 'b3', which no installed package provides",
           "pip install opentelemetry-propagator-b3"),
    doctor("propagation is switched off", {"OTEL_PROPAGATORS": "none"},
           "every service has traces of its own", "unset it"),
    doctor("log correlation by a package that is not there", {"OTEL_PYTHON_LOG_CORRELATION": "true"},
           "OTEL_PYTHON_LOG_CORRELATION='true' has no effect", "unset"),
    doctor("rules for a sampler that takes a ratio",
           {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "POST /chat=1"},
           "is not a ratio", "unset OTEL_TRACES_SAMPLER: rules are for the sampler tracebaton"),
    doctor("a rule behind one that matches everything", {"OTEL_TRACES_SAMPLER_ARG": "*=10%, POST /chat=1"},
           "rule 2, POST /chat=100%, is never reached", "write it before rule 1"),
    doctor("an instrumentation is disabled by a wrong name", {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "fast-api"},
           "'fast-api' is unknown (did you mean fastapi?)"),
    doctor("the one instrumentation that matters is disabled", {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "fastapi"},
           "the fastapi instrumentation is disabled", "do not disable fastapi"),
    doctor("URLs are excluded by a glob", {"OTEL_PYTHON_FASTAPI_EXCLUDED_URLS": "*health"},
           "OTEL_PYTHON_FASTAPI_EXCLUDED_URLS='*health' is not a list of regular expressions",
           "it is read as text, with * for anything, which is the expression '.*health'"),
    doctor("a detector that there is not", {"OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": "proces"},
           "has 'proces', which no installed package provides (did you mean process?)", "it is left out"),
    doctor("a convention that there is not", {"OTEL_SEMCONV_STABILITY_OPT_IN": "htp"},
           "has 'htp', which is unknown (did you mean http?)", "'htp' changes nothing"),
    doctor("one variable overrides the other",
           {ENDPOINT: "http://b:4317", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": DEAD},
           f"{ENDPOINT}='http://b:4317' has no effect: OTEL_EXPORTER_OTLP_TRACES_ENDPOINT overrides it"),
    doctor("no Collector listens there", {ENDPOINT: DEAD},
           "refuses connections", "In a container, localhost is that container", "start the Collector"),
    doctor("the Collector's name is wrong", {ENDPOINT: "http://otel-collecter.invalid:4317"},
           "the name otel-collecter.invalid cannot be resolved", "in compose, that of its service"),
    doctor("gRPC to the port of HTTP", {ENDPOINT: HTTP, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
           "takes spans over http/protobuf and not over grpc", "set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"),
    doctor("HTTP to the port of gRPC", {ENDPOINT: GRPC, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"},
           "takes spans over grpc and not over http/protobuf", "set OTEL_EXPORTER_OTLP_PROTOCOL=grpc"),
    doctor("https to a receiver in plaintext", {ENDPOINT: GRPC.replace("{grpc}", "{grpcs}")},
           "does not speak TLS, and the endpoint is https://", "write http://"),
    doctor("the path for traces is given twice",
           {ENDPOINT: HTTP + "/v1/traces", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"},
           "/v1/traces is twice in the path", "leave /v1/traces out"),
    doctor("a certificate that is not there",
           {ENDPOINT: "{https}", "OTEL_EXPORTER_OTLP_CERTIFICATE": "/certs/ca.pem"},
           "the file of OTEL_EXPORTER_OTLP_CERTIFICATE cannot be read: No such file or directory"),
    doctor("a spool that cannot be written", {"OTEL_TRACEBATON_SPOOL_DIR": "/proc/spool"},
           "OTEL_TRACEBATON_SPOOL_DIR='/proc/spool' cannot be used", "mount a volume there"),
    doctor("a shell that stays PID 1", {}, "stays PID 1", "put exec before the program",
           command="sh|-c|uvicorn main:app; true"),
    doctor("an entry point without exec", {}, "the script start.sh starts", "without exec", "write `exec",
           command="./start.sh|uvicorn|main:app", **{"start.sh": '#!/bin/sh\necho starting\n"$@"\n'}),
    doctor("the application's module is misspelled", {}, "there is no module mian in", "(did you mean main?)",
           command="uvicorn|mian:app"),
    doctor("the container starts in another directory", {}, "there is no module agent in", "WORKDIR",
           command="uvicorn|agent.main:app"),
    doctor("a file where a module belongs", {}, "uvicorn wants MODULE:ATTRIBUTE", "uvicorn main:app",
           command="uvicorn|main.py"),
    doctor("the server is not installed", {}, "the program 'daphne' is not on the PATH", "pip install daphne",
           command="daphne|main:app"),
    doctor("a worker that cannot run FastAPI", {}, "cannot run an ASGI application", "-k uvicorn_worker.UvicornWorker",
           command="gunicorn|main:app"),
    doctor("a Python without tracebaton", {}, "python3 has no tracebaton: 'serve' runs untraced",
           "Install tracebaton there", command="./serve", serve="#!{directory}/python3\n"),
    doctor("the bare launcher without the two variables", {},
           "under `opentelemetry-instrument` tracebaton is not in charge", "start with `tracebaton run COMMAND`",
           command="opentelemetry-instrument|uvicorn|main:app"),
    doctor("nobody gave the service a name", {}, "the service would be called 'main'", "set OTEL_SERVICE_NAME",
           command="uvicorn|main:app", **{"srv/app/main.py": APP}),
    doctor("an exit that takes longer than docker stop waits", {"OTEL_TRACEBATON_SHUTDOWN_TIMEOUT": "30s"},
           "`docker stop` kills after 10 s", "set it below"),
]  # fmt: skip
