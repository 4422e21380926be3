"""The variables that are this project's own; `opentelemetry-instrument --help` lists them.

Upstream's launcher turns every name here that starts with `OTEL_` into a command-line option
(opentelemetry/instrumentation/auto_instrumentation/__init__.py), and refuses two modules that define the same name: so
the standard variables, which the SDK's own module lists, are not repeated.
"""

OTEL_TRACEBATON_KEEP_ERRORS = "OTEL_TRACEBATON_KEEP_ERRORS"
"""`true` (default) or `false`: export a request that ends 5xx or raises even when it was not sampled."""

OTEL_TRACEBATON_KEEP = "OTEL_TRACEBATON_KEEP"
"""`trace` (default) or `span`: whether a failed or slow unsampled request leaves the spans of its calls, too."""

OTEL_TRACEBATON_KEEP_LOGGED_ERRORS = "OTEL_TRACEBATON_KEEP_LOGGED_ERRORS"
"""`true` (default) or `false`: the same for a request within which an exception is logged as an error."""

OTEL_TRACEBATON_KEEP_SLOWER_THAN = "OTEL_TRACEBATON_KEEP_SLOWER_THAN"
"""A duration such as `2s` or `250ms` (default: unset): the same for requests that take longer.

A streamed answer counts to its first byte; with `2s total`, to its last.
"""

OTEL_TRACEBATON_ASGI_EVENT_SPANS = "OTEL_TRACEBATON_ASGI_EVENT_SPANS"
"""`true` brings back the `http send` and `http receive` spans of the ASGI instrumentation (default `false`)."""

OTEL_TRACEBATON_LOGS = "OTEL_TRACEBATON_LOGS"
"""`json` (default), `inject` (keep the application's formats, add the ids) or `off`."""

OTEL_TRACEBATON_LOG_EXTRAS = "OTEL_TRACEBATON_LOG_EXTRAS"
"""What JSON lines have beside the message: `masked` (default), `all`, `none`, or the names of the fields to write.

`masked`: all of it, with the values under secret-looking names masked at any depth.
"""

OTEL_TRACEBATON_LOG_FIELDS = "OTEL_TRACEBATON_LOG_FIELDS"
"""Renames what tracebaton writes in a line: `trace_id=trace.id,...`, a preset (`ecs`, `datadog`, `gcp`), or both."""

OTEL_TRACEBATON_SHUTDOWN_TIMEOUT = "OTEL_TRACEBATON_SHUTDOWN_TIMEOUT"
"""A duration (default `5s`): what the exit may take, flush included."""

OTEL_TRACEBATON_DETACH_AFTER = "OTEL_TRACEBATON_DETACH_AFTER"
"""A duration (default `5m`): lines of what still runs so long after its request was answered have no ids."""

OTEL_TRACEBATON_SPOOL_DIR = "OTEL_TRACEBATON_SPOOL_DIR"
"""A directory where spans wait out an outage of the Collector (default: unset)."""

OTEL_TRACEBATON_SPOOL_MAX_MB = "OTEL_TRACEBATON_SPOOL_MAX_MB"
"""How many megabytes may wait there (default `64`)."""

OTEL_TRACEBATON_TRUST_PARENT = "OTEL_TRACEBATON_TRUST_PARENT"
"""`true` (default), `false`, or the networks whose callers' trace context is continued (`10.0.0.0/8,127.0.0.1`).

A wrong value is as good as `false`.
"""

OTEL_TRACEBATON_REDACT = "OTEL_TRACEBATON_REDACT"
"""Names of query parameters and headers, besides the built-in ones, whose values are not exported (`iban,-code`)."""

OTEL_TRACEBATON_REDIS_MESSAGES = "OTEL_TRACEBATON_REDIS_MESSAGES"
"""What carries the trace inside Redis: `off` (default), or a list of `streams`, `pubsub` and `lists`.

`streams`: in fields of each message; `pubsub` and `lists`: in each message or value that is a JSON object. It is taken
out again where it is read, by whoever has this set.
"""

OTEL_TRACEBATON_CHILDREN = "OTEL_TRACEBATON_CHILDREN"
"""What happens in the programs that a traced Python starts: `serving` (default), `true` or `false`.

`serving`: they are traced as soon as they import something that is traced; what they print where their parent reads it
stays as it is. `true`: they are traced like their parent. `false`: they start as without the launcher; workers do not.
"""

OTEL_TRACEBATON_DISABLED_PATCHES = "OTEL_TRACEBATON_DISABLED_PATCHES"
"""Names of patches, as `tracebaton doctor` lists them, that are not applied (default: unset)."""

OTEL_TRACEBATON_TRACES_EXPORTER = "OTEL_TRACEBATON_TRACES_EXPORTER"
"""Wins over `OTEL_TRACES_EXPORTER`, where a program that shares the environment needs that one (default: unset)."""

OTEL_TRACEBATON_METRICS_EXPORTER = "OTEL_TRACEBATON_METRICS_EXPORTER"
"""Wins over `OTEL_METRICS_EXPORTER` in the same way: `none` exports no metrics, and the fast path stays."""

OTEL_TRACEBATON_LOGS_EXPORTER = "OTEL_TRACEBATON_LOGS_EXPORTER"
"""Wins over `OTEL_LOGS_EXPORTER` in the same way."""

OTEL_TRACEBATON_ENDPOINT = "OTEL_TRACEBATON_ENDPOINT"
"""Wins over `OTEL_EXPORTER_OTLP_ENDPOINT` in the same way, and over those of single signals; a base, as that is."""

OTEL_TRACEBATON_SERVICE_NAME = "OTEL_TRACEBATON_SERVICE_NAME"
"""Wins over `OTEL_SERVICE_NAME`, and over the `service.name` of `OTEL_RESOURCE_ATTRIBUTES`, in the same way."""

OTEL_TRACEBATON_STRICT = "OTEL_TRACEBATON_STRICT"
"""`true`: a wrong setting stops the process with status 78 before the application starts (default `false`)."""
