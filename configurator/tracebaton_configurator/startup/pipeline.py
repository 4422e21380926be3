"""From settings to a running provider: sampler and ids, exporters, the flush at exit, and the fast path."""

from __future__ import annotations

import os
import warnings
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, NamedTuple

from opentelemetry import trace
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from tracebaton_configurator import settings
from tracebaton_configurator.asgi.instrumentation import AsgiInstrumentation
from tracebaton_configurator.coexist import genai, providers
from tracebaton_configurator.export.ends import Part, SpanProcessors
from tracebaton_configurator.export.exits import flush_at_exit
from tracebaton_configurator.export.export_queue import ExportQueue
from tracebaton_configurator.export.export_status import ExportStatus
from tracebaton_configurator.export.exporters import (
    UnknownExporterError,
    import_all,
    load,
    make_client,
    make_encode,
)
from tracebaton_configurator.export.sigterm import sigterm
from tracebaton_configurator.export.span_processor import QueueSpanProcessor
from tracebaton_configurator.live.control import Control
from tracebaton_configurator.live.describe import describe
from tracebaton_configurator.live.server import Server
from tracebaton_configurator.logs import diagnostics, logged_errors, own
from tracebaton_configurator.names import is_otlp
from tracebaton_configurator.patching import on_import, os_threads, registry
from tracebaton_configurator.patching.around import merged
from tracebaton_configurator.propagation import (
    a2a,
    a2a_grpc,
    clients_on_import,
    http_clients,
    incoming,
    job_queues,
    mcp,
    redis_scripts,
    subprocesses,
    threads,
)
from tracebaton_configurator.propagation.w3c import propagator
from tracebaton_configurator.redaction import text as redaction
from tracebaton_configurator.redaction.spans import RedactingSpanProcessor, redact
from tracebaton_configurator.sampling import light_span
from tracebaton_configurator.sampling.detached import DetachingTracerProvider
from tracebaton_configurator.sampling.late_spans import mark_failed
from tracebaton_configurator.sampling.light_span import LightSpan
from tracebaton_configurator.sampling.root_sampler import RuleRootSampler, SdkRootSampler
from tracebaton_configurator.sampling.rule_set import RuleSet
from tracebaton_configurator.sampling.rules import RuleError, effective_rules
from tracebaton_configurator.sampling.sampler import DecisionIdGenerator, TracebatonSampler
from tracebaton_configurator.sampling.standard import SamplerError, build_standard, root_of
from tracebaton_configurator.settings import Problem, Settings
from tracebaton_configurator.startup import started_by
from tracebaton_configurator.startup.begin import called_at
from tracebaton_configurator.startup.reporting import report
from tracebaton_configurator.startup.resource import build_resource, renew_in_children
from tracebaton_configurator.startup.watched import PROCESS_MODULES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import ModuleType

    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import Tracer

    from tracebaton_configurator.export.spool import Spool
    from tracebaton_configurator.patching.around import Around

_ARGUMENT = "OTEL_TRACES_SAMPLER_ARG"
_RULES = "rules such as 'POST /chat=1, GET /health*=0, *=10/s+10%'"


class AnotherProviderError(RuntimeError):
    """Somebody was there before, who is in charge of this process's traces."""


class Pipeline(NamedTuple):
    """What runs. Where there is no `asgi`, or it is bypassed by upstream's own path, `bypass_reason` says why.

    `export_queues` has a processor for each OTLP exporter. `around` is what is to be done where an instrumentation is
    loaded, by the name of its entry point. `spool` is the directory in which outages are waited out, if any.
    """

    export_queues: tuple[QueueSpanProcessor, ...]
    sampler: str
    sampling: TracebatonSampler
    asgi: AsgiInstrumentation | None
    bypass_reason: str | None
    around: Mapping[str, Sequence[Around]]
    spool: str | None = None


def start(here: Settings, launcher_version: str | None) -> Pipeline:
    """Build the provider, make it the global one, and have it flushed at exit."""
    propagator.install()
    registry.apply("light-span", light_span.fit)
    sampler, is_known = _build_sampler(here)
    ids = DecisionIdGenerator(_id_generator(here))
    resource = build_resource(here.service_name, launcher_version)
    processors = SpanProcessors()
    provider = DetachingTracerProvider(
        sampler=sampler, id_generator=ids, resource=resource, shutdown_on_exit=False, active_span_processor=processors
    )
    redaction.use(here.redact)
    provider.add_span_processor(RedactingSpanProcessor())  # before all that get to see a span
    spool = _usable_spool(here)
    export_queues = [
        made for name in here.traces_exporters if (made := _add_exporter(provider, name, here, spool)) is not None
    ]
    renew_in_children(provider)
    others = _start_other_signals(here, resource)
    others.append(
        Part("The last line", _say_held_back, bounded=True, needed=lambda: diagnostics.shutdown_summary() is not None)
    )
    first: list[Part] = []
    flush_at_exit(lambda: [*first, *processors.parts, *others], here.shutdown_timeout)
    bypass_reason, asgi = None, None
    if not is_known:
        bypass_reason = f"the sampler {here.sampler} is not one of those it knows"
    else:
        asgi = AsgiInstrumentation(
            sampler,
            ids,
            trust_parent=here.trust_parent,
            keep_errors=here.keep_errors,
            keep_slower_than=here.keep_slower_than,
            keep_calls=here.keep == "trace",
            keep_slower_than_total=here.keep_slower_than_total,
            event_spans=here.asgi_event_spans,
        )
        if here.keep_logged_errors:
            logged_errors.on_logged_error = mark_failed
        if here.metrics_exporters:
            bypass_reason = "metrics are exported, and they count every request"
            asgi.fast_path.bypassed = True
    control = Control(sampler, ids, asgi.fast_path if asgi else None)
    late_spans = asgi.late_spans if asgi else None
    server = Server(control, here.service_name, lambda: describe(here, control, export_queues, late_spans))
    around = merged(
        [
            *([asgi.around(), http_clients.around(), threads.around(), mcp.around()] if asgi else []),
            redis_scripts.around(),
            # Above it: a message ends before the next command begins, which is none of its calls then.
            *([_redis_messages().around()] if asgi and here.redis_messages else []),
            job_queues.around(),
            providers.around(),
        ]
    )
    pipeline = Pipeline(tuple(export_queues), sampler.get_description(), sampler, asgi, bypass_reason, around, spool)
    # From here on spans are recorded, so what comes after this must not fail.
    trace.set_tracer_provider(provider)
    if trace.get_tracer_provider() is not provider:
        raise AnotherProviderError("another TracerProvider was set before, and OpenTelemetry takes one only")
    _or_without(
        "Watching for other providers",
        lambda: providers.coexist(provider, here, lambda: _bypass(asgi), sampler.call_on_first),
    )
    genai.install()
    _or_without("Live control", server.start)
    if asgi:
        with warnings.catch_warnings():  # the SDK adds a filter of its own to the application's
            tracer = provider.get_tracer(settings.NAME)
        incoming.use(tracer, sampler, asgi.fast_path.trust, asgi.late_spans)
        threads.install(here.detach_after)
        http_clients.hold_signal, http_clients.let_go_of_signal = sigterm.hold, sigterm.let_go
        first.append(
            Part(
                "What is being read", http_clients.end_bodies, bounded=True, needed=http_clients.is_reading, first=True
            )
        )
        a2a.install(own_spans=here.a2a_spans)
        a2a_grpc.install()
        clients_on_import.note_calls()
        if here.redis_messages:
            spans = not {"redis", "*"} & here.disabled_instrumentations
            messages = _redis_messages()
            messages.install(here.redis_messages, has_spans=spans)
            first.append(
                Part("What was received last", messages.end_all, bounded=True, needed=messages.any_open, first=True)
            )
        job_queues.install()
        _or_without("Handing the trace on to other processes", lambda: _hand_on(here, tracer, sampler, asgi))
        mcp.install(settings.environment())
    return pipeline


def _hand_on(here: Settings, tracer: Tracer, sampler: TracebatonSampler, asgi: AsgiInstrumentation) -> None:
    environ = settings.environment()
    started_by.begin(tracer, sampler, asgi, subprocesses.headers_in(environ), called_at(environ))
    for module in PROCESS_MODULES:
        on_import.after(module, lambda _: _hand_on_to_processes(sampler))
    word = settings.word_to_programs(here)

    def more(is_traced: bool) -> Mapping[str, str]:  # noqa: FBT001 (see `subprocesses.install`)
        # What runs the service itself, a command line that starts a server, is no parent of that kind.
        is_other = here.children != "false" and (is_traced or asgi.fast_path.serves)
        return word if is_other else {}

    subprocesses.install(environ, more)


def _hand_on_to_processes(sampler: TracebatonSampler) -> None:
    from tracebaton_configurator.propagation import process_context, processes

    if processes.TRACING.take_up is None:
        process_context.use(sampler, started_by.take_up)
        processes.install(lambda: None)
        if processes.handed:
            started_by.take_up(processes.handed)


def _or_without(what: str, begin: Callable[[], object]) -> None:
    """What tracing can do without."""
    try:
        begin()
    except Exception as error:  # noqa: BLE001 (see above)
        own.error("%s failed to start, tracing continues: %s: %s", what, type(error).__name__, error)


def _bypass(asgi: AsgiInstrumentation | None) -> None:
    if asgi is not None:
        asgi.fast_path.bypassed = True


def _build_sampler(here: Settings) -> tuple[TracebatonSampler, bool]:
    """The sampler, and whether the fast path can ask it: one that is not known may look at what only a span has."""
    if here.sampler.lower() == settings.NAME:
        return _by_rules(here, here.sampler_arg), True
    try:
        root = root_of(here.sampler, here.sampler_arg)
        if root is None:
            unknown = SdkRootSampler(build_standard(here.sampler, here.sampler_arg))
            return TracebatonSampler(unknown, follows_parents=False), False
    except SamplerError as error:
        if error.variable == _ARGUMENT:
            report(
                [Problem(_ARGUMENT, here.sampler_arg or "", str(error), error.accepted, "the default rules apply")],
                strict=here.strict,
            )
            return _by_rules(here, None), True
        problem = Problem(error.variable, here.sampler, str(error), error.accepted, "no request is recorded")
        report([problem], strict=here.strict)
        root = ALWAYS_OFF, False
    sampler, follows_parents = root
    return TracebatonSampler(SdkRootSampler(sampler), follows_parents=follows_parents), True


def _by_rules(here: Settings, argument: str | None) -> TracebatonSampler:
    try:
        rules = effective_rules(argument)
    except RuleError as error:
        problem = Problem(_ARGUMENT, argument or "", f"is wrong in {error}", _RULES, "the default rules apply")
        report([problem], strict=here.strict)
        rules = effective_rules(None)
    return TracebatonSampler(RuleRootSampler(RuleSet(rules)))


def _id_generator(here: Settings) -> IdGenerator:
    if here.id_generator == "random":
        return RandomIdGenerator()
    group = "opentelemetry_id_generator"
    found = entry_points(group=group, name=here.id_generator)
    if not found:
        known = ", ".join(sorted({point.name for point in entry_points(group=group)}))
        problem = Problem("OTEL_PYTHON_ID_GENERATOR", here.id_generator, "is unknown", known, "using random")
        report([problem], strict=here.strict)
        return RandomIdGenerator()
    generator: IdGenerator = next(iter(found)).load()()
    return generator


def _redis_messages() -> ModuleType:
    """Imported where it is asked for, which is seldom."""
    from tracebaton_configurator.propagation import redis_messages

    return redis_messages


def _usable_spool(here: Settings) -> str | None:
    """The directory, if it can be used; where not, that is said."""
    if not here.spool_dir or not any(map(is_otlp, here.traces_exporters)):
        return None
    from tracebaton_configurator.export.spool_check import why_unusable

    reason = why_unusable(here.spool_dir)
    if reason is None:
        return here.spool_dir
    unusable = f"cannot be used by user {os.geteuid()}: {reason}"
    accepted = "a directory that this user may write, or make"
    variable = "OTEL_TRACEBATON_SPOOL_DIR"
    report([Problem(variable, here.spool_dir, unusable, accepted, "spans wait in memory")], strict=here.strict)
    return None


def _add_exporter(
    provider: DetachingTracerProvider, name: str, here: Settings, spool: str | None
) -> QueueSpanProcessor | None:
    """Have spans sent to the exporter `name`; returns the processor where it is this project's own."""
    if is_otlp(name):
        processor = _deliver(name, here, spool)
        provider.add_span_processor(processor)
        return processor
    from tracebaton_configurator.export.upstream_processor import BoundedBatchSpanProcessor, LazyExporter

    try:
        exporter = LazyExporter(load(name, "traces"), lambda error: _say_broken(name, error))
    except UnknownExporterError as error:
        report([_unknown(here.deciding("OTEL_TRACES_EXPORTER"), name, str(error))], strict=here.strict)
        return None
    provider.add_span_processor(BoundedBatchSpanProcessor(name, exporter, here.batch_delay_ms, here.shutdown_timeout))
    return None


def _spool(here: Settings) -> Spool | None:
    if not here.spool_dir:
        return None
    from tracebaton_configurator.export.spool import Spool

    return Spool(here.spool_dir, here.spool_max_mb * 1_000_000)


def _make_redacting_encode() -> Callable[[Sequence[ReadableSpan]], bytes]:
    """Light spans, which no other processor gets to see, are searched for secrets off the request path."""
    encode = make_encode()

    def redact_and_encode(spans: Sequence[ReadableSpan]) -> bytes:
        for span in spans:
            if isinstance(span, LightSpan) and not span.redacted:
                redact(span)
                span.redacted = True
        return encode(spans)

    return redact_and_encode


def _deliver(name: str, here: Settings, spool: str | None) -> QueueSpanProcessor:
    if here.endpoint.insecure_target is not None:
        from tracebaton_configurator.export.upstream_processor import import_early

        import_early()
    waiting = f"on disk in {spool}" if spool else f"in memory, the newest {here.queue_size} of them,"
    export_queue = ExportQueue(
        lambda: make_client(name, here.endpoint),
        ExportStatus(str(here.endpoint), waiting),
        timeout=here.endpoint.timeout,
        most_spans=here.queue_size,
        spool=_spool(here),  # which may yet become usable
    )
    os_threads.before_patching(lambda: import_all(name, here.endpoint))
    return QueueSpanProcessor(
        export_queue,
        _make_redacting_encode,
        delay=here.batch_delay_ms / 1000,
        most_queued=here.queue_size,
        batch_size=here.batch_size,
        shutdown_timeout=here.shutdown_timeout,
    )


def _say_held_back() -> None:
    words = diagnostics.shutdown_summary()
    if words:
        own.warning("%s", words)


def _say_broken(name: str, error: Exception) -> None:
    own.error("The exporter %s could not be created, no spans are exported: %s: %s", name, type(error).__name__, error)


def _unknown(variable: str, name: str, known: str) -> Problem:
    return Problem(variable, name, "is unknown", known, "it is left out")


def _start_other_signals(here: Settings, resource: Resource) -> list[Part]:
    """Metrics and logs, as the standard variables ask for them; by default neither exists. Returns their ends."""
    from tracebaton_configurator.export import signals

    ends: list[Part] = []
    for what, standard, names, begin in (
        ("The export of metrics", "OTEL_METRICS_EXPORTER", here.metrics_exporters, signals.start_metrics),
        ("The export of logs", "OTEL_LOGS_EXPORTER", here.logs_exporters, signals.start_logs),
    ):
        if not names:
            continue
        variable = here.deciding(standard)
        try:
            ends.append(Part(what, begin(names, here.endpoint, resource)))
            sigterm.hold_for_good()  # there is always something that has not been sent yet
        except UnknownExporterError as error:
            report([_unknown(variable, ",".join(names), str(error))], strict=here.strict)
        except Exception as error:  # noqa: BLE001 (a port that is taken, say; traces do not depend on it)
            failed = f"could not be started ({type(error).__name__}: {error})"
            problem = Problem(variable, ",".join(names), failed, "what can be started here", "it is left out")
            report([problem], strict=here.strict)
    return ends
