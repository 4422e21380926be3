"""The private names of OpenTelemetry's instrumentation of redis that this package uses.

Checked with opentelemetry-instrumentation-redis 0.63b0 to 0.66b2.
"""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from opentelemetry.instrumentation._semconv import (
    _get_semconv_opt_in_modes,
    _OpenTelemetryStabilitySignalType,
    _set_db_statement,
)
from opentelemetry.instrumentation.redis.util import (
    _build_span_meta_data_for_pipeline,
    _format_command_args,
    _set_connection_attributes,
)

if TYPE_CHECKING:
    from opentelemetry.trace import Span


@cache
def _modes() -> tuple[Any, Any]:
    signals = _OpenTelemetryStabilitySignalType.DATABASE, _OpenTelemetryStabilitySignalType.HTTP
    modes = _get_semconv_opt_in_modes(signals)
    return modes[signals[0]], modes[signals[1]]


def commands_of(pipeline: Any) -> list[tuple[str, int]]:
    """Name and number of words of each command that waits in a pipeline; empty where it cannot be told."""
    stack, _, _ = _build_span_meta_data_for_pipeline(pipeline)
    commands = [one.args if hasattr(one, "args") else one[0] for one in stack]
    return [(str(words[0]), len(words)) for words in commands if words]


def set_attributes(span: Span, options: Any, commands: list[tuple[str, int]], *, pipeline: bool) -> None:
    """Those that upstream sets for the command, or the pipeline, of a client whose connections have these options."""
    statements = [_format_command_args([name, *[""] * (words - 1)]) for name, words in commands]
    attributes: dict[str, Any] = {}
    _set_db_statement(attributes, "\n".join(statements), _modes()[0])
    span.set_attributes(attributes)
    if pipeline:
        span.set_attribute("db.redis.pipeline_length", len(commands))
    else:
        span.set_attribute("db.redis.args_length", commands[0][1])
    if options is not None:
        pool: Any = SimpleNamespace(connection_kwargs=options)
        client: Any = SimpleNamespace(connection_pool=pool)
        _set_connection_attributes(span, client, *_modes())
