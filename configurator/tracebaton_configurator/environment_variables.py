"""The variables that are this project's own; `opentelemetry-instrument --help` lists them.

Upstream's launcher turns every name here that starts with `OTEL_` into a command-line option
(opentelemetry/instrumentation/auto_instrumentation/__init__.py), and refuses two modules that define the same name: so
the standard variables, which the SDK's own module lists, are not repeated.

`make docs` writes what stands below each name into docs/settings.md, and `tests/test_docs.py` compares the defaults
that are said here with those that `settings` applies.
"""

OTEL_TRACEBATON_LOGS = "OTEL_TRACEBATON_LOGS"
"""`json`, `inject` (keep the application's formats, add the ids) or `off`.

Default: `json`
"""

OTEL_TRACEBATON_LOG_EXTRAS = "OTEL_TRACEBATON_LOG_EXTRAS"
"""What JSON lines have beside the message: `masked` (all of it; values under the names of secrets are masked), `all`,
`none`, or the names of the fields to write.

Default: `masked`
"""

OTEL_TRACEBATON_LOG_FIELDS = "OTEL_TRACEBATON_LOG_FIELDS"
"""Renames what tracebaton writes in a line: `trace_id=trace.id,...`, a preset `ecs`, `datadog` (decimal ids) or
`gcp`, or a preset and names.
"""

OTEL_TRACEBATON_KEEP_ERRORS = "OTEL_TRACEBATON_KEEP_ERRORS"
"""A request that ends 5xx or raises, or that made a call that failed, is exported even when it was not sampled.

Default: `true`
"""

OTEL_TRACEBATON_KEEP_LOGGED_ERRORS = "OTEL_TRACEBATON_KEEP_LOGGED_ERRORS"
"""So is one within which an exception is logged as an error, whatever its status (not with
`OTEL_TRACEBATON_LOGS=off`).

Default: `true`
"""

OTEL_TRACEBATON_KEEP_SLOWER_THAN = "OTEL_TRACEBATON_KEEP_SLOWER_THAN"
"""A duration such as `2s` or `250ms`: the same for requests that take longer. A streamed answer counts to its first
byte, with `2s total` to its last.
"""

OTEL_TRACEBATON_KEEP = "OTEL_TRACEBATON_KEEP"
"""What a failed or slow request that was not sampled leaves: `trace`, its span and those of its calls, or `span`.

Default: `trace`
"""

OTEL_TRACEBATON_TRUST_PARENT = "OTEL_TRACEBATON_TRUST_PARENT"
"""`true`, `false`, or networks such as `10.0.0.0/8,127.0.0.1`: whose trace context is obeyed. A wrong value trusts
nobody.

Default: `true`
"""

OTEL_TRACEBATON_ASGI_EVENT_SPANS = "OTEL_TRACEBATON_ASGI_EVENT_SPANS"
"""`true` brings back the `http send` and `http receive` spans of the ASGI instrumentation.

Default: `false`
"""

OTEL_TRACEBATON_DETACH_AFTER = "OTEL_TRACEBATON_DETACH_AFTER"
"""What still runs so long after its request was answered, a loop or a thread, has left it: its spans begin traces of
their own, linked to the request, and its lines lose the request's ids.

Default: `5m`
"""

OTEL_TRACEBATON_SHUTDOWN_TIMEOUT = "OTEL_TRACEBATON_SHUTDOWN_TIMEOUT"
"""What the exit may take, flush included; `docker stop` kills after 10 s.

Default: `5s`
"""

OTEL_TRACEBATON_SPOOL_DIR = "OTEL_TRACEBATON_SPOOL_DIR"
"""A directory where spans wait out an outage of the Collector."""

OTEL_TRACEBATON_SPOOL_MAX_MB = "OTEL_TRACEBATON_SPOOL_MAX_MB"
"""How many megabytes of disk they may take there, for all processes together.

Default: `64`
"""

OTEL_TRACEBATON_REDACT = "OTEL_TRACEBATON_REDACT"
"""Names of query parameters and headers whose values are not exported, added to a built-in list (`iban,-code`);
`-name` takes one off it.
"""

OTEL_TRACEBATON_REDIS_MESSAGES = "OTEL_TRACEBATON_REDIS_MESSAGES"
"""`off`, or a list of `streams`, `pubsub` and `lists`: the trace goes along inside what is sent over Redis, as fields
of a stream's message and as keys of a JSON object. Whoever has it set gets the message as it was sent, others see
them.

Default: `off`
"""

OTEL_TRACEBATON_CHILDREN = "OTEL_TRACEBATON_CHILDREN"
"""Programs that the application runs. `serving`: traced once they import something that is traced, and what they
print where the application reads it stays as it is; `true`: as the application itself; `false`: not instrumented (its
workers are).

Default: `serving`
"""

OTEL_TRACEBATON_STRICT = "OTEL_TRACEBATON_STRICT"
"""`true`: a wrong setting stops the container with status 78 before the application starts.

Default: `false`
"""

OTEL_TRACEBATON_DISABLED_PATCHES = "OTEL_TRACEBATON_DISABLED_PATCHES"
"""Names of patches, as `tracebaton doctor` lists them, that are not applied."""

OTEL_TRACEBATON_TRACES_EXPORTER = "OTEL_TRACEBATON_TRACES_EXPORTER"
"""Wins over `OTEL_TRACES_EXPORTER`, where another program that shares the environment needs that one otherwise; it
finds it as it was.
"""

OTEL_TRACEBATON_METRICS_EXPORTER = "OTEL_TRACEBATON_METRICS_EXPORTER"
"""The same for `OTEL_METRICS_EXPORTER`; `none` keeps the fast path of requests that are not sampled."""

OTEL_TRACEBATON_LOGS_EXPORTER = "OTEL_TRACEBATON_LOGS_EXPORTER"
"""The same for `OTEL_LOGS_EXPORTER`."""

OTEL_TRACEBATON_ENDPOINT = "OTEL_TRACEBATON_ENDPOINT"
"""The same for `OTEL_EXPORTER_OTLP_ENDPOINT` and those of single signals. A base, as that is, and for all signals;
protocol, headers and certificates stay those of `OTEL_EXPORTER_OTLP_*`.
"""

OTEL_TRACEBATON_SERVICE_NAME = "OTEL_TRACEBATON_SERVICE_NAME"
"""The same for `OTEL_SERVICE_NAME`, and for `service.name` in `OTEL_RESOURCE_ATTRIBUTES`."""
