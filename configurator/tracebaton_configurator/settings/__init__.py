"""Every `OTEL_*` variable that this project reads, parsed once into one frozen object.

Nobody else reads the environment. What is wrong becomes a `Problem` (a sentence) and the default for that variable;
whether the process then goes on is the caller's decision (`Settings.strict`).
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Literal, cast

from tracebaton_configurator import environment_variables as ours
from tracebaton_configurator.names import CONFIGURATOR, DISTRO, NAME, choose_this_distro
from tracebaton_configurator.settings import contradictions, upstream
from tracebaton_configurator.settings.endpoint import Endpoint, read_endpoint
from tracebaton_configurator.settings.lists import parse_extras, parse_redis_messages, read_redact, read_trust
from tracebaton_configurator.settings.log_fields import parse as parse_log_fields
from tracebaton_configurator.settings.overrides import OVERRIDES
from tracebaton_configurator.settings.problem import Problem
from tracebaton_configurator.settings.reader import Reader
from tracebaton_configurator.settings.service_name import derive_service_name

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping, Sequence
    from ipaddress import IPv4Network, IPv6Network

__all__ = [
    "CONFIGURATOR",
    "DISTRO",
    "INHERITED_NAME",
    "NAME",
    "Endpoint",
    "LogMode",
    "Problem",
    "Settings",
    "choose",
    "current",
    "environment",
    "hand_down",
    "is_run_by_a_service",
    "read_settings",
    "wants_strict",
    "word_to_programs",
]

LogMode = Literal["json", "inject", "off"]
Children = Literal["serving", "true", "false"]

# How a process tells the workers that it spawns which name it derived: their own command line is multiprocessing's.
INHERITED_NAME = "_OTEL_TRACEBATON_SERVICE_NAME"
# How a service tells the programs that it runs that OTEL_SERVICE_NAME is meant for it and not for them: what would be
# derived from its command, a comma, and the name that it was given, if any.
PARENT_SERVICE = "_OTEL_TRACEBATON_PARENT_SERVICE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the variables say. Durations are seconds, sizes are megabytes (10**6 bytes).

    `helper` is true in the process that multiprocessing starts beside every spawned worker to clean up after it: it
    runs no code of the application, so nothing is traced there and nothing is said. `given` names the variables of
    this project's own that are set; `a2a_spans` says that A2A's own variable is. `notes` are what is no mistake, and
    yet to be said: a variable and a sentence.
    """

    disabled: bool
    helper: bool
    strict: bool
    service_name: str
    service_name_derived: bool
    endpoint: Endpoint
    traces_exporters: tuple[str, ...]
    metrics_exporters: tuple[str, ...]
    logs_exporters: tuple[str, ...]
    batch_delay_ms: int
    queue_size: int
    batch_size: int
    id_generator: str
    sampler: str
    sampler_arg: str | None
    keep: str
    keep_errors: bool
    keep_logged_errors: bool
    keep_slower_than: float | None
    keep_slower_than_total: bool
    asgi_event_spans: bool
    logs: LogMode
    log_extras: str | frozenset[str]
    log_fields: tuple[str, tuple[tuple[str, str], ...]]
    shutdown_timeout: float
    detach_after: float
    spool_dir: str | None
    spool_max_mb: int
    trust_parent: bool | tuple[IPv4Network | IPv6Network, ...]
    children: Children
    disabled_instrumentations: frozenset[str]
    disabled_patches: frozenset[str]
    redact: tuple[str, ...]
    a2a_spans: bool
    redis_messages: frozenset[str]
    given: frozenset[str]
    problems: tuple[Problem, ...]
    notes: tuple[tuple[str, str], ...] = ()
    changes: tuple[tuple[str, str | None], ...] = field(default=(), compare=False, repr=False)

    def deciding(self, standard: str) -> str:
        """The variable that decides: this project's own override of a standard one, where that is set."""
        override = OVERRIDES[standard]
        return override if override in self.given else standard


@cache
def current() -> Settings:
    """The settings of this process, read when first asked for."""
    return read_settings(os.environ, _command(), os.getcwd())  # noqa: PTH109 (pathlib would be imported for this)


def read_settings(environ: Mapping[str, str], command: Sequence[str], directory: str) -> Settings:
    """Parse `environ`; `command` and `directory` serve only to derive a service name where none is set."""
    reader = Reader(environ)
    service_name = _given_name(reader, command, directory)
    slower_than, total = reader.threshold(ours.OTEL_TRACEBATON_KEEP_SLOWER_THAN)
    settings = Settings(
        disabled=reader.boolean("OTEL_SDK_DISABLED", default=False),
        helper=_is_helper(command),
        strict=reader.boolean(ours.OTEL_TRACEBATON_STRICT, default=False),
        service_name=service_name or _derived(reader, command, directory),
        service_name_derived=service_name is None,
        endpoint=read_endpoint(reader),
        traces_exporters=reader.names(reader.deciding("OTEL_TRACES_EXPORTER"), "otlp"),
        metrics_exporters=reader.names(reader.deciding("OTEL_METRICS_EXPORTER"), "none"),
        logs_exporters=reader.names(reader.deciding("OTEL_LOGS_EXPORTER"), "none"),
        batch_delay_ms=reader.integer("OTEL_BSP_SCHEDULE_DELAY", 1000, 1, 86_400_000),
        queue_size=reader.integer("OTEL_BSP_MAX_QUEUE_SIZE", 2048, 1, 1_000_000),
        batch_size=reader.integer("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512, 1, 1_000_000),
        id_generator=reader.text("OTEL_PYTHON_ID_GENERATOR") or "random",
        sampler=reader.text("OTEL_TRACES_SAMPLER") or NAME,
        sampler_arg=reader.text("OTEL_TRACES_SAMPLER_ARG"),
        keep=reader.choice(ours.OTEL_TRACEBATON_KEEP, ("trace", "span"), "trace"),
        keep_errors=reader.boolean(ours.OTEL_TRACEBATON_KEEP_ERRORS, default=True),
        keep_logged_errors=reader.boolean(ours.OTEL_TRACEBATON_KEEP_LOGGED_ERRORS, default=True),
        keep_slower_than=slower_than,
        keep_slower_than_total=total,
        asgi_event_spans=reader.boolean(ours.OTEL_TRACEBATON_ASGI_EVENT_SPANS, default=False),
        logs=cast("LogMode", reader.choice(ours.OTEL_TRACEBATON_LOGS, ("json", "inject", "off"), "json")),
        log_extras=reader.parsed(
            ours.OTEL_TRACEBATON_LOG_EXTRAS,
            parse_extras,
            "masked",
            "masked, all, none, or names such as room,tenant.id",
            "masked",
        ),
        log_fields=reader.parsed(
            ours.OTEL_TRACEBATON_LOG_FIELDS,
            parse_log_fields,
            ("", ()),
            "ecs, datadog, gcp, or names such as trace_id=trace.id,level=severity",
            "the usual names",
        ),
        shutdown_timeout=reader.duration(ours.OTEL_TRACEBATON_SHUTDOWN_TIMEOUT, 5.0, "5s") or 5.0,
        detach_after=cast("float", reader.duration(ours.OTEL_TRACEBATON_DETACH_AFTER, 300.0, "5m")),
        spool_dir=reader.text(ours.OTEL_TRACEBATON_SPOOL_DIR),
        spool_max_mb=reader.integer(ours.OTEL_TRACEBATON_SPOOL_MAX_MB, 64, 1, 1_000_000),
        trust_parent=read_trust(reader),
        redact=read_redact(reader),
        a2a_spans=reader.text("OTEL_INSTRUMENTATION_A2A_SDK_ENABLED") is not None,
        redis_messages=reader.parsed(
            ours.OTEL_TRACEBATON_REDIS_MESSAGES,
            parse_redis_messages,
            frozenset[str](),
            "off, or a list of streams, pubsub and lists",
            "off",
        ),
        children=cast(
            "Children", reader.choice(ours.OTEL_TRACEBATON_CHILDREN, ("serving", "true", "false"), "serving")
        ),
        disabled_instrumentations=_listed(reader, "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"),
        disabled_patches=_listed(reader, ours.OTEL_TRACEBATON_DISABLED_PATCHES),
        given=frozenset(name for name in vars(ours) if name.startswith("OTEL_") and reader.text(name) is not None),
        problems=(),
    )
    contradictions.check_patches(reader, settings.disabled_patches)
    contradictions.check_sampler(reader, settings.sampler, settings.sampler_arg)
    contradictions.check_spool(reader, settings.spool_dir, settings.traces_exporters)
    contradictions.check_insecure(reader, settings.endpoint)
    contradictions.check_propagators(reader)
    batch_size = contradictions.check_batch(reader, settings.batch_size, settings.queue_size)
    changes = upstream.judge(reader, settings.endpoint, batch_size)
    contradictions.check_names(reader)
    return replace(
        settings, batch_size=batch_size, problems=tuple(reader.problems), notes=tuple(reader.notes), changes=changes
    )


def environment() -> MutableMapping[str, str]:
    """The environment that child processes inherit: read here and in nothing else than what is handed down by it."""
    return os.environ


def choose() -> None:
    """Have upstream's loader take this distro's configurator, too; it reads the variable after the distro has run."""
    os.environ.update(choose_this_distro(os.environ))


def word_to_programs(settings: Settings) -> dict[str, str]:
    """For the environment of a program that this process, a service, starts: see `PARENT_SERVICE`."""
    derived = derive_service_name(_command(), os.getcwd(), os.environ.get(INHERITED_NAME))  # noqa: PTH109 (as above)
    return {PARENT_SERVICE: f"{derived},{'' if settings.service_name_derived else settings.service_name}"}


def is_run_by_a_service() -> bool:
    """Whether this is one of those programs, or the same program once more."""
    return PARENT_SERVICE in os.environ


def wants_strict(environ: Mapping[str, str]) -> bool:
    """`Settings.strict` by itself, for the case that it is the settings that fail."""
    return Reader(environ).boolean(ours.OTEL_TRACEBATON_STRICT, default=False)


def hand_down(settings: Settings) -> None:
    """Leave in the environment what upstream and child processes need and cannot find out, or survive, by themselves.

    Where tracing is off, nothing is changed. To be called before the SDK and the instrumentations are imported.
    """
    if settings.disabled:
        return
    if settings.service_name_derived:
        os.environ[INHERITED_NAME] = settings.service_name
    for name, value in settings.changes:
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _command() -> list[str]:
    """The command line of this process; in a worker that multiprocessing has spawned, that of the process behind it.

    Its own says nothing of the application (Lib/multiprocessing/spawn.py, forkserver.py). Where the other one cannot be
    read, it has to do.
    """
    command, pid = sys.orig_argv, "self"
    for _ in range(3):
        if _is_helper(command) or not any(part.startswith("from multiprocessing.") for part in command):
            return command
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
                pid = file.read().rpartition(")")[2].split()[1]
            with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="surrogateescape") as file:  # noqa: PTH123
                above = file.read().rstrip("\0").split("\0")
        except (OSError, IndexError):
            break
        command = above
    return sys.orig_argv


def _is_helper(command: Sequence[str]) -> bool:
    """Whether this is multiprocessing's resource tracker (Lib/multiprocessing/resource_tracker.py)."""
    return any(argument.startswith("from multiprocessing.resource_tracker import") for argument in command)


def _given_name(reader: Reader, command: Sequence[str], directory: str) -> str | None:
    """None as well where the name that is set is that of the service which runs this program, another one than its own.

    A program that runs itself once more, as a reloader does, is no other.
    """
    given = _named(reader)
    derived, _, of_parent = (reader.text(PARENT_SERVICE) or "").partition(",")
    if given is None or given != of_parent or derive_service_name(command, directory, derived) == derived:
        return given
    return None


def _named(reader: Reader) -> str | None:
    return reader.text(reader.deciding("OTEL_SERVICE_NAME")) or _service_name_in_resource(reader)


def _derived(reader: Reader, command: Sequence[str], directory: str) -> str:
    return derive_service_name(command, directory, reader.text(INHERITED_NAME))


def _service_name_in_resource(reader: Reader) -> str | None:
    for pair in (reader.text("OTEL_RESOURCE_ATTRIBUTES") or "").split(","):
        key, _, value = pair.partition("=")
        if key.strip() == "service.name" and value.strip():
            from urllib.parse import unquote

            return unquote(value.strip())
    return None


def _listed(reader: Reader, variable: str) -> frozenset[str]:
    return frozenset(name.strip() for name in (reader.text(variable) or "").split(",") if name.strip())
