"""The private names of OpenTelemetry's instrumentation of redis that this package uses.

Checked with opentelemetry-instrumentation-redis 0.63b0 to 0.66b2.
"""

from __future__ import annotations

from functools import cache, lru_cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from opentelemetry.instrumentation._semconv import (
    _get_semconv_opt_in_modes,
    _OpenTelemetryStabilitySignalType,
    _set_db_statement,
)
from opentelemetry.instrumentation.redis.util import (
    _build_span_meta_data_for_pipeline,
    _extract_conn_attributes,
    _format_command_args,
    _set_connection_attributes,
)

from tracebaton_configurator.patching.registry import put

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.trace import Span


_MOST_KNOWN = 256
_LONGEST_NAME = 64
_ABSENT = object()
_known: dict[tuple[Any, ...], dict[str, Any]] = {}


def remember() -> None:
    """For the patch `redis-attributes`: each server's attributes and each command's statement are worked out once."""
    import opentelemetry.instrumentation.redis as upstream

    put(upstream, "_set_connection_attributes", _set_remembered_attributes)
    put(upstream, "_format_command_args", _remembering(vars(upstream)["_format_command_args"]))


def _remembering(original: Callable[[Any], str]) -> Callable[[Any], str]:
    if original(("GET", "key")) != original(("GET", "")):
        raise ValueError("a statement depends on more than the command and how many words follow it")

    @lru_cache(_MOST_KNOWN)
    def statement_of(name: str, words: int) -> str:
        return original((name, *[""] * (words - 1)))

    def format_args(args: Any) -> str:
        """Upstream names the command and counts what follows it."""
        if args and args[0].__class__ is str and len(args[0]) <= _LONGEST_NAME:
            return statement_of(args[0], len(args))
        return original(args)

    return format_args


def _set_remembered_attributes(span: Span, client: Any, *modes: Any) -> None:
    """As upstream's `_set_connection_attributes`, which sets one attribute after the other."""
    options: Any = getattr(getattr(client, "connection_pool", None), "connection_kwargs", None)
    try:
        # All that upstream looks at, with its own defaults.
        key = (
            options.get("db"),
            options.get("host", "localhost"),
            options.get("port", 6379),
            options.get("path", _ABSENT),
            *map(id, modes),  # members of enumerations, whose own hash is a function in Python
        )
        attributes = _known.get(key)
    except (AttributeError, TypeError):  # no options, or such as upstream is to make something of
        _set_connection_attributes(span, client, *modes)
        return
    if attributes is None:
        attributes = _extract_conn_attributes(options, *modes)  # type: ignore[no-untyped-call]
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        _known[key] = attributes
    if span.is_recording():
        span.set_attributes(attributes)


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
