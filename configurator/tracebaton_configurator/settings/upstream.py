"""What OpenTelemetry reads from the environment by itself, made safe before it does.

Its API, SDK, exporters and instrumentations raise for many a wrong value, some while they are imported, some within a
request; or they log it with a traceback. So each is judged here first: the default for that one setting applies, and
`judge` says what is to stand in the environment instead, for this process and for those that it starts.

Read from the sources of opentelemetry-api and -sdk 1.42.0 to 1.45.2 and of the instrumentations 0.63b0 to 0.66b2.
"""

from __future__ import annotations

from re import compile as regex
from typing import TYPE_CHECKING

from tracebaton_configurator.settings.endpoint import (
    GRPC,
    SECONDS,
    checked_url,
    is_target,
    note_milliseconds,
    parse_seconds,
)
from tracebaton_configurator.settings.headers import read_headers, without_wrong_parts
from tracebaton_configurator.settings.patterns import judge_patterns
from tracebaton_configurator.settings.registered import judge_names

if TYPE_CHECKING:
    from tracebaton_configurator.settings.endpoint import Endpoint
    from tracebaton_configurator.settings.reader import Reader

    Changes = dict[str, str | None]

# `SpanLimits` of sdk/trace and `LogRecordLimits` of sdk/_logs: each with the general limit that is its default, if set.
_COUNT, _LENGTH = "OTEL_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"
_LIMITS = {
    _COUNT: "",
    _LENGTH: "",
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": _COUNT,
    "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT": _COUNT,
    "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT": _COUNT,
    "OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT": _COUNT,
    "OTEL_SPAN_EVENT_COUNT_LIMIT": "",
    "OTEL_SPAN_LINK_COUNT_LIMIT": "",
    "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT": _LENGTH,
    "OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT": _LENGTH,
}
# A `deque` takes no longer one, and a span makes two of them.
_LARGEST = (1 << 31) - 1

_QUEUE, _BATCH = "MAX_QUEUE_SIZE", "MAX_EXPORT_BATCH_SIZE"
_NUMBERS = {
    "OTEL_BSP_EXPORT_TIMEOUT": "30000",
    "OTEL_BLRP_SCHEDULE_DELAY": "1000",
    "OTEL_BLRP_EXPORT_TIMEOUT": "30000",
    "OTEL_BLRP_MAX_QUEUE_SIZE": "2048",
    "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE": "512",
    "OTEL_METRIC_EXPORT_INTERVAL": "60000",
    "OTEL_METRIC_EXPORT_TIMEOUT": "30000",
}
# The first is the default. Upstream compares some of them as they are written.
_CHOICES = {
    "OTEL_METRICS_EXEMPLAR_FILTER": ("trace_based", "always_on", "always_off"),
    "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": ("cumulative", "delta", "lowmemory"),
    "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION": (
        "explicit_bucket_histogram",
        "base2_exponential_bucket_histogram",
    ),
    "OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED": ("false", "true"),
    "OTEL_PYTHON_LOG_LEVEL": ("info", "debug", "warning", "error"),
}
# Those of every language, since one environment may serve several, and what is for another is no mistake.
CONVENTIONS = frozenset(["gen_ai_latest_experimental"]) | {
    f"{name}{suffix}"
    for name in ("http", "database", "code", "rpc", "messaging", "k8s", "jvm", "service.peer", "v8js", "exceptions")
    for suffix in ("", "/dup")
}
_OTLP = "OTEL_EXPORTER_OTLP_"
_GRPC_CODES = "OTEL_PYTHON_EXPORTER_OTLP_GRPC_RETRYABLE_ERROR_CODES"
# https://grpc.github.io/grpc/core/md_doc_statuscodes.html
# fmt: off
_CODES = frozenset([
    "ok", "cancelled", "unknown", "invalid_argument", "deadline_exceeded", "not_found", "already_exists",
    "permission_denied", "resource_exhausted", "failed_precondition", "aborted", "out_of_range", "unimplemented",
    "internal", "unavailable", "data_loss", "unauthenticated",
])
# fmt: on
_RESOURCE = "OTEL_RESOURCE_ATTRIBUTES"
_ANY = regex(r"OTEL_(?!PYTHON_\w*EXCLUDED_URLS)\w+")
_NUMBER = regex(r"\+?[0-9]+")


def judge(reader: Reader, endpoint: Endpoint, batch_size: int) -> tuple[tuple[str, str | None], ...]:
    """What is to be changed in the environment: pairs of a variable and its new value, None for none at all.

    What is wrong is said through `reader`, which has been asked for this project's own settings before.
    """
    # Empty means unset (SDK specification, "Parsing empty value"), which many of those who read them do not know.
    changes: Changes = {name: None for name in reader.names_like(_ANY) if reader.text(name) is None}
    _drop_what_was_wrong(reader, endpoint, changes)
    _judge_limits(reader, changes)
    _judge_numbers(reader, changes)
    _judge_batches(reader, changes, batch_size)
    _judge_choices(reader, changes)
    _judge_lists(reader, changes)
    for signal in ("", "METRICS_", "LOGS_"):
        _judge_exporter(reader, endpoint, changes, signal)
    for signal in ("", "TRACES_", "METRICS_", "LOGS_"):
        _judge_headers(reader, changes, f"{_OTLP}{signal}HEADERS")
        seconds = note_milliseconds(reader, f"{_OTLP}{signal}TIMEOUT")
        if seconds is not None:
            changes[f"{_OTLP}{signal}TIMEOUT"] = seconds
    judge_names(reader, changes)
    judge_patterns(reader, changes)
    return tuple((name, value) for name, value in changes.items() if reader.raw(name) != value)


def _drop_what_was_wrong(reader: Reader, endpoint: Endpoint, changes: Changes) -> None:
    """What this project has said of variables that upstream reads as well, if only for other signals."""
    for problem in reader.problems:
        variable = problem.variable
        if variable.startswith(("OTEL_BSP_", _OTLP)) and not variable.endswith(("_ENDPOINT", "_HEADERS")):
            changes[variable] = None
        elif variable.startswith(_OTLP) and variable.endswith("_ENDPOINT"):
            assumed = "://" not in problem.value and not is_target(problem.value)
            changes[variable] = f"http{'' if endpoint.insecure else 's'}://{problem.value}" if assumed else None
    for variable in (f"{_OTLP}COMPRESSION", f"{_OTLP}TRACES_COMPRESSION"):
        # The gRPC exporters know no word for none.
        if endpoint.protocol == GRPC and (reader.text(variable) or "").lower() == "none":
            changes[variable] = None


def _judge_limits(reader: Reader, changes: Changes) -> None:
    for variable, general in _LIMITS.items():
        text = reader.text(variable)
        if text is None:
            continue
        if _NUMBER.fullmatch(text) and len(text) <= 20 and int(text) <= _LARGEST:
            changes[variable] = text
            continue
        general_value = changes.get(general) if general else None
        used = general_value or ("no limit" if variable.endswith("_LENGTH_LIMIT") else "128")
        reader.wrong(variable, "is not a limit", "a whole number from 0", f"using {used}")
        changes[variable] = None


def _judge_numbers(reader: Reader, changes: Changes) -> None:
    for variable, default in _NUMBERS.items():
        text = reader.text(variable)
        if text is not None and not (_NUMBER.fullmatch(text) and len(text) <= 10 and int(text) > 0):
            changes[variable] = None
            reader.wrong(variable, "is not a whole number above 0", "a whole number above 0", f"using {default}")


def _judge_batches(reader: Reader, changes: Changes, batch_size: int) -> None:
    """Upstream's batch processors raise for a batch that is larger than the queue, and their default is one size."""
    if batch_size < 512 or reader.text(f"OTEL_BSP_{_BATCH}") is not None:
        changes[f"OTEL_BSP_{_BATCH}"] = str(batch_size)
    queue, batch = (
        None if variable in changes else reader.text(variable)
        for variable in (f"OTEL_BLRP_{_QUEUE}", f"OTEL_BLRP_{_BATCH}")
    )
    queue = queue or "2048"
    if int(batch or 512) > int(queue):
        if batch is not None:
            reason, accepted = (
                f"is more than the {queue} that the queue holds",
                "a number up to OTEL_BLRP_MAX_QUEUE_SIZE",
            )
            reader.wrong(f"OTEL_BLRP_{_BATCH}", reason, accepted, f"using {queue}")
        changes[f"OTEL_BLRP_{_BATCH}"] = queue


def _judge_choices(reader: Reader, changes: Changes) -> None:
    for variable, choices in _CHOICES.items():
        if reader.text(variable) is not None:
            changes[variable] = reader.choice(variable, choices, choices[0])
    # Anything that is not empty counts as true there.
    every_method = "OTEL_PYTHON_INSTRUMENTATION_HTTP_CAPTURE_ALL_METHODS"
    if (reader.text(every_method) or "").lower() == "false":
        changes[every_method] = None
    log_format = "OTEL_PYTHON_LOG_FORMAT"
    text = reader.text(log_format)
    if text is not None:
        from logging import Formatter

        try:
            Formatter(text)
        except ValueError:
            reader.wrong(log_format, "is not a format", "one of the style %(message)s", "using the default")
            changes[log_format] = None


def _judge_lists(reader: Reader, changes: Changes) -> None:
    conventions = "OTEL_SEMCONV_STABILITY_OPT_IN"
    _judge_list(reader, changes, conventions, CONVENTIONS, "changes nothing")
    _judge_list(reader, changes, _GRPC_CODES, _CODES, "is left out")
    parts = [part.strip() for part in (reader.text(_RESOURCE) or "").split(",")]
    right = [part for part in parts if part.partition("=")[0].strip() and "=" in part]
    for number, part in enumerate(parts, 1):
        if part and part not in right:
            reason = f"is wrong in part {number}"
            reader.wrong(_RESOURCE, reason, "key=value,key=value", "that part is left out")
    if any(parts):
        changes[_RESOURCE] = ",".join(right) or None


def _judge_list(reader: Reader, changes: Changes, variable: str, known: frozenset[str], effect: str) -> None:
    text = reader.text(variable)
    if text is None:
        return
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in known]
    if unknown:
        named = ", ".join(map(repr, unknown))
        reader.wrong(variable, f"has {named}, which is unknown", ", ".join(sorted(known)), f"{named} {effect}")
    changes[variable] = ",".join(name for name in names if name in known) or None


def _judge_exporter(reader: Reader, endpoint: Endpoint, changes: Changes, signal: str) -> None:
    """Of the exporters for metrics and logs, which are upstream's own. Without `signal`, of both.

    What is set for all signals has been judged where traces have no variable of their own.
    """

    def set_here(name: str) -> str | None:
        judged = not signal and reader.text(f"{_OTLP}TRACES_{name}") is None
        return None if judged else reader.text(f"{_OTLP}{signal}{name}")

    timeout, compression, insecure, url = (
        f"{_OTLP}{signal}{name}" for name in ("TIMEOUT", "COMPRESSION", "INSECURE", "ENDPOINT")
    )
    if set_here("TIMEOUT") and reader.parsed(timeout, parse_seconds, None, SECONDS, "10") is None:
        changes[timeout] = None
    if set_here("COMPRESSION"):
        known = ("none", "gzip") if endpoint.protocol == GRPC else ("none", "gzip", "deflate")
        chosen = reader.choice(compression, known, "none")
        # The gRPC exporters know no word for none.
        changes[compression] = None if chosen == "none" and endpoint.protocol == GRPC else chosen
    if (set_here("INSECURE") or "true").lower() not in ("true", "false"):
        reader.wrong(insecure, "is not a boolean", "true or false", "the scheme of the endpoint decides")
        changes[insecure] = None
    given = set_here("ENDPOINT")
    if given and not endpoint.overrides:  # else it is for other programs
        changes[url] = checked_url(reader, url, given, (insecure, f"{_OTLP}INSECURE"))


def _judge_headers(reader: Reader, changes: Changes, variable: str) -> None:
    """Upstream's exporters send control characters as they are, and log what they refuse with all its secrets."""
    text = reader.text(variable)
    if text is not None:
        if all(problem.variable != variable for problem in reader.problems):
            read_headers(reader, variable, grpc=False)
        changes[variable] = without_wrong_parts(text) or None
