"""The trace goes along inside what is sent over Redis: `OTEL_TRACEBATON_REDIS_MESSAGES`.

What is sent gets it where redis-py serialises a command, so whichever client, pipeline or transaction sends it, and
within the span that upstream's instrumentation has made. What is received loses it again in redis-py's callbacks, which
every client asks for a response. When a message is current is another module's matter (`redis_messages_current`).

* `streams`: XADD; XREAD, XREADGROUP, XCLAIM and XAUTOCLAIM hand messages out, XRANGE and XREVRANGE only show them.
* `pubsub`: PUBLISH and SPUBLISH of a JSON object.
* `lists`: LPUSH, RPUSH, LPUSHX and RPUSHX of JSON objects; what pops or moves hands them out, LRANGE and LINDEX only
  show them. LREM, LPOS and LINSERT find a value that this process has pushed or read, in whatever trace it was pushed.
  Of equal values in several traces LREM finds each, by one command for each, the newest first, until it has removed
  as many as it should; within a pipeline or transaction each LREM finds those of one trace.

What a Lua script sends or receives, what `set_response_callback` parses, and XREAD's kin inside a transaction of a
cluster are left as they are. Lists and dictionaries of messages are handed out as subclasses, which `marshal`,
`yaml.safe_dump` and msgpack with `strict_types` refuse; a deep copy is a plain one. With asyncio a message of a list or
channel is the task's that runs the command: who waits for that (`gather`, `wait_for` before Python 3.12) has no trace.
Checked with redis 5.2.0, 6.4.0, 7.4.1 and 8.1.0.
"""

from __future__ import annotations

from contextlib import suppress
from contextvars import ContextVar
from functools import update_wrapper
from importlib import import_module
from typing import TYPE_CHECKING, Any

from tracebaton_configurator.logs.diagnostics import report_error
from tracebaton_configurator.patching.around import Around
from tracebaton_configurator.patching.registry import apply, apply_on_import, put, wrap
from tracebaton_configurator.propagation.incoming import trace_headers
from tracebaton_configurator.propagation.redis_messages_current import Message, any_open, end_all, let_go
from tracebaton_configurator.propagation.redis_messages_lists import TakenOutOfLists, removing, removing_async
from tracebaton_configurator.propagation.redis_messages_streams import (
    Messages,
    handed_out,
    only_taken_out,
    with_fields,
)
from tracebaton_configurator.propagation.redis_messages_text import TakenOut, put_into, take_out

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from contextvars import Token
    from types import ModuleType

    Arguments = tuple[Any, ...]

__all__ = ["any_open", "around", "end_all", "install"]

_FAILED = "The trace context of a Redis message could not be handled"
_STREAMS = ("XREAD", "XREADGROUP", "XCLAIM", "XAUTOCLAIM", "XRANGE", "XREVRANGE")
_POPS = ("BLPOP", "BRPOP", "LPOP", "RPOP", "BLMPOP", "LMPOP")
_MOVES = ("BLMOVE", "LMOVE", "BRPOPLPUSH", "RPOPLPUSH")
_LISTS = (*_POPS, *_MOVES, "LRANGE", "LINDEX")
_SHOW = ("XRANGE", "XREVRANGE", "LRANGE", "LINDEX")
_WAIT = ("XREAD", "XREADGROUP", *(name for name in _LISTS if name.startswith("B")), "BZPOPMIN", "BZPOPMAX", "BZMPOP")
_ENDS = frozenset((*_STREAMS, *_LISTS, *_WAIT)) - {*_SHOW}
_PUBSUB = "MESSAGE"

# Where the values are that each command sends.
_SENDS = {"pubsub": ("PUBLISH", "SPUBLISH"), "lists": ("LPUSH", "RPUSH", "LPUSHX", "RPUSHX")}
# Which argument of a command is a value that was read before.
_LOOKS_FOR = {"LREM": 3, "LPOS": 2, "LINSERT": 3}

_in_lists = TakenOutOfLists()
# The values that LREM looks for in the commands which are sent together.
_removed_together: ContextVar[set[object] | None] = ContextVar("tracebaton-redis-removed", default=None)


def around() -> dict[str, Around]:
    """For the instrumentation of redis: a message ends before the next command begins its span."""
    return {"redis": Around(before=lambda: apply("redis-commands", _replace_factories))}


def install(kinds: Collection[str], *, has_spans: bool) -> None:
    """Patch redis-py as soon as it is imported; `has_spans`: whether `around` will be called for."""
    apply_on_import("redis-messages", "redis", lambda _: _replace(kinds))
    if not has_spans:
        apply_on_import("redis-commands", "redis", _replace_commands)


class _Command:
    """A command under way, and the one message that it receives, if it does: a context manager."""

    __slots__ = ("_token", "args", "message", "name")

    def __init__(self, args: Arguments) -> None:
        self.args = args
        self.name = _name_of(args)
        self.message: Message | None = None
        self._token: Token[_Command | None] | None = None

    def let_go(self) -> None:
        """To be called before, in the task that goes on with what it receives."""
        if self.name in _ENDS:
            let_go(self.name, _sources_of(self.name, self.args), waits=self.name in _WAIT)

    def __enter__(self) -> None:
        if self.name in _ENDS:
            self._token = _command.set(self)

    def __exit__(self, kind: object, *_: object) -> None:
        if self._token is None:
            return
        with suppress(ValueError):  # a coroutine that is closed by somebody else
            _command.reset(self._token)
        if self.message is not None and kind is None:
            self.message.is_read = True
            self.message.take()


_command: ContextVar[_Command | None] = ContextVar("tracebaton-redis-command", default=None)


def _name_of(args: Arguments) -> str:
    name = args[0] if args else ""
    return (
        name.upper()
        if isinstance(name, str)
        else name.decode(errors="replace").upper()
        if isinstance(name, bytes)
        else ""
    )


def _sources_of(name: str, args: Arguments) -> frozenset[str]:
    """What the command receives from, as far as that can be a message's source."""
    keys: Arguments = args[1:2]
    with suppress(Exception):  # a command that Redis will refuse
        if name in ("XREAD", "XREADGROUP"):
            # A group, or its reader, may have any name.
            start = 4 if name == "XREADGROUP" else 1
            at = next(at for at, arg in enumerate(args) if at >= start and _text(arg).upper() == "STREAMS") + 1
            keys = args[at : (at + len(args)) // 2]
        elif name in ("BLPOP", "BRPOP"):
            keys = args[1:-1]
        elif name in ("BLMPOP", "LMPOP"):
            at = 3 if name == "BLMPOP" else 2
            keys = args[at : at + int(args[at - 1])]
    return frozenset(map(_text, keys))


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value or "")


def _replace(kinds: Collection[str]) -> bool:
    connection, asynchronous = import_module("redis.connection"), import_module("redis.asyncio.connection")
    packers = [
        (connection.PythonRespSerializer, "pack"),
        (connection.HiredisRespSerializer, "pack"),
        (asynchronous.AbstractConnection, "pack_command"),
    ]
    found = [(owner, name, getattr(owner, name)) for owner, name in packers]
    of_pubsub = [import_module("redis.client").PubSub, import_module("redis.asyncio.client").PubSub]
    together = [
        (owner, owner.pack_commands) for owner in (connection.AbstractConnection, asynchronous.AbstractConnection)
    ]
    handlers = [(owner.parse_response, owner.handle_message) for owner in of_pubsub]
    tables = _tables()
    if not any("XREADGROUP" in table and "XAUTOCLAIM" in tables[0] for table in tables):
        return False
    for owner, name, pack in found:
        put(owner, name, _packing(pack, kinds))
    for owner, pack in together if "lists" in kinds else ():
        put(owner, "pack_commands", _packing_together(pack))
    for name in (*(_STREAMS if "streams" in kinds else ()), *(_LISTS if "lists" in kinds else ())):
        tables[0].setdefault(name, _as_it_is)
        for table in tables:
            if name in table:
                table[name] = _parsing(name, table[name])
    if "pubsub" in kinds:
        for owner, (parse, handle), make in zip(of_pubsub, handlers, (_handling, _handling_async), strict=True):
            put(owner, "parse_response", _receiving(parse))
            put(owner, "handle_message", make(handle))
    return True


def _tables() -> list[dict[str, Callable[..., Any]]]:
    """Those that clients take their callbacks from; the first is for each of them, the others for protocols."""
    found: dict[str, dict[str, Callable[..., Any]]] = {}
    for name in ("redis._parsers.helpers", "redis._parsers.response_callbacks"):  # the latter since redis 8
        try:
            module = import_module(name)
        except ImportError:
            continue
        found.update({key: table for key, table in vars(module).items() if key.startswith("_RedisCallbacks")})
    first = found.pop("_RedisCallbacks")
    return [first, *found.values()]


def _as_it_is(response: Any, **_: Any) -> Any:
    return response


def _packing(pack: Callable[..., Any], kinds: Collection[str]) -> Callable[..., Any]:
    values = frozenset(name for kind, names in _SENDS.items() if kind in kinds for name in names)
    looks_for = _LOOKS_FOR if "lists" in kinds else {}

    def outgoing(args: Arguments) -> Arguments:
        name = _name_of(args)
        if name == "XADD" and "streams" in kinds:
            return with_fields(args, trace_headers())
        if name in values:
            headers = trace_headers()
            sent = (*args[:2], *(put_into(value, headers) for value in args[2:])) if headers else args
            if name not in _SENDS["pubsub"]:
                for value in sent[2:]:
                    _remember(value, take_out(value))
            return sent
        at = looks_for.get(name)
        if at is None or len(args) <= at:
            return args
        used = _removed_together.get() if name == "LREM" else None
        return (*args[:at], _in_lists.as_pushed(args[at], used), *args[at + 1 :])

    def pack_with_context(self: Any, *args: Any) -> Any:
        try:
            args = outgoing(args)
        except Exception as error:  # noqa: BLE001 (the command is sent as it is)
            report_error(_FAILED, error)
        return pack(self, *args)

    return update_wrapper(pack_with_context, pack)


def _packing_together(pack: Callable[..., Any]) -> Callable[..., Any]:
    def pack_together(*args: Any, **kwargs: Any) -> Any:
        token = _removed_together.set(set())
        try:
            return pack(*args, **kwargs)
        finally:
            _removed_together.reset(token)

    return update_wrapper(pack_together, pack)


def _parsing(name: str, parse: Callable[..., Any]) -> Callable[..., Any]:
    receive = _receive_stream if name in _STREAMS else _receive_list

    def parse_and_take_out(response: Any, **options: Any) -> Any:
        parsed = parse(response, **options)
        try:
            return receive(name, parsed) if parsed else parsed
        except Exception as error:  # noqa: BLE001 (the application gets what there is)
            report_error(_FAILED, error)
            return parsed

    return update_wrapper(parse_and_take_out, parse)


def _receive_stream(name: str, response: Any) -> Any:
    if name in _SHOW:
        return only_taken_out(response)
    command = _command.get()
    args = command.args if command is not None and command.name == name else ()

    def make(stream: str, key: object, headers: dict[str, str] | None) -> Message:
        attributes = {"messaging.message.id": _text(key)} if key is not None else {}
        if name == "XREADGROUP" and len(args) > 2:
            attributes["messaging.consumer.group.name"] = _text(args[2])
        elif name in ("XCLAIM", "XAUTOCLAIM") and len(args) > 2:
            stream = _text(args[1])
            attributes["messaging.consumer.group.name"] = _text(args[2])
        return Message(name, stream, headers, attributes)

    if name == "XAUTOCLAIM" and isinstance(response, list) and len(response) > 1:
        response[1] = handed_out(response[1], make)
        return response
    return handed_out(response, make)


def _receive_list(name: str, response: Any) -> Any:
    command = _command.get()
    if command is not None and command.name != name:
        command = None
    key = command.args[1] if command is not None and len(command.args) > 1 else ""
    if name in ("BLPOP", "BRPOP"):
        key, value = response
        return type(response)((key, _received(name, key, value, command)))
    if name in ("BLMPOP", "LMPOP"):
        key, values = response
        return type(response)((key, _receive_list_of(name, key, values, command)))
    if isinstance(response, list):
        return _receive_list_of(name, key, response, command)
    return _received(name, key, response, command)


def _received(name: str, key: Any, value: Any, command: _Command | None) -> Any:
    found = _taken_out(name, value)
    if found is None:
        return value
    if command is not None and name not in _SHOW:
        command.message = Message(name, _text(key), found.headers)
    return found.value


def _receive_list_of(name: str, key: Any, values: list[Any], command: _Command | None) -> list[Any]:
    """Several, each of which is current while an iteration is at it; one alone is so at once."""
    if name not in _SHOW and len(values) == 1:
        return [_received(name, key, values[0], command)]
    found = [_taken_out(name, value) for value in values]
    if not any(found):
        return values
    plain = [value if one is None else one.value for one, value in zip(found, values, strict=True)]
    if name in _SHOW:
        return plain
    messages = [None if one is None else Message(name, _text(key), one.headers) for one in found]
    for message in filter(None, messages):
        message.is_read = True
    return Messages(plain, messages)


def _taken_out(name: str, value: Any) -> TakenOut | None:
    found = take_out(value)
    if name not in _POPS:
        _remember(value, found)
    return found


def _remember(value: Any, found: TakenOut | None) -> None:
    """What has been pushed, or read, and what was taken out of it."""
    if found is not None:
        _in_lists.remember(found.value, found.members)
    elif isinstance(value, (str, bytes)):
        _in_lists.remember(value, b"")


def _receiving(parse: Callable[..., Any]) -> Callable[..., Any]:
    """Of a PubSub, of either kind."""

    def parse_next(self: Any, *args: Any, **kwargs: Any) -> Any:
        let_go(_PUBSUB, (id(self),), waits=True)
        return parse(self, *args, **kwargs)

    return update_wrapper(parse_next, parse)


def _published(pubsub: object, response: Any) -> tuple[Any, Message | None]:
    """The response without trace context, and the message that it is; it has a `[pattern,] channel, data`."""
    try:
        if isinstance(response, (list, tuple)) and _text(response[0]) in ("message", "pmessage", "smessage"):
            found = take_out(response[-1])
            if found is not None:
                message = Message(_PUBSUB, _text(response[-2]), found.headers, source=id(pubsub))
                message.is_read = True
                return [*response[:-1], found.value], message
    except Exception as error:  # noqa: BLE001 (the application gets what there is)
        report_error(_FAILED, error)
    return response, None


def _handling(handle: Callable[..., Any]) -> Callable[..., Any]:
    def handle_message(self: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        response, message = _published(self, response)
        if message is None:
            return handle(self, response, *args, **kwargs)
        message.take()
        try:
            handled = handle(self, response, *args, **kwargs)
        except BaseException as error:
            message.end(error)
            raise
        if handled is None:  # by a handler that was subscribed
            message.end()
        return handled

    return update_wrapper(handle_message, handle)


def _handling_async(handle: Callable[..., Any]) -> Callable[..., Any]:
    async def handle_message(self: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        response, message = _published(self, response)
        if message is None:
            return await handle(self, response, *args, **kwargs)
        message.take()
        try:
            handled = await handle(self, response, *args, **kwargs)
        except BaseException as error:
            message.end(error)
            raise
        if handled is None:
            message.end()
        return handled

    return update_wrapper(handle_message, handle)


def _replace_factories() -> bool:
    import opentelemetry.instrumentation.redis as upstream

    make = getattr(upstream, "_traced_execute_factory", None)
    make_async = getattr(upstream, "_async_traced_execute_factory", None)
    if make is None or make_async is None:
        return False
    put(upstream, "_traced_execute_factory", lambda *options, **more: _commanding(make(*options, **more)))
    put(
        upstream,
        "_async_traced_execute_factory",
        lambda *options, **more: _commanding_async(make_async(*options, **more)),
    )
    return True


def _replace_commands(_: ModuleType) -> None:
    """Where nobody else stands before the commands."""

    def as_called(call: Callable[..., Any], _: Any, args: Arguments, kwargs: dict[str, Any]) -> Any:
        return call(*args, **kwargs)

    for module, name, make in (
        ("redis.client", "Redis", _commanding),
        ("redis.cluster", "RedisCluster", _commanding),
        ("redis.asyncio.client", "Redis", _commanding_async),
        ("redis.asyncio.cluster", "RedisCluster", _commanding_async),
    ):
        wrap(import_module(module), f"{name}.execute_command", make(as_called))


def _commanding(traced: Callable[..., Any]) -> Callable[..., Any]:
    def execute(call: Callable[..., Any], instance: Any, args: Arguments, kwargs: dict[str, Any]) -> Any:
        command = _Command(args)
        command.let_go()
        with command:
            return traced(removing(_in_lists, call, args) if command.name == "LREM" else call, instance, args, kwargs)

    return execute


def _commanding_async(traced: Callable[..., Any]) -> Callable[..., Any]:
    async def run(command: _Command, call: Callable[..., Any], instance: Any, kwargs: dict[str, Any]) -> Any:
        with command:
            return await traced(call, instance, command.args, kwargs)

    def execute(call: Callable[..., Any], instance: Any, args: Arguments, kwargs: dict[str, Any]) -> Any:
        command = _Command(args)
        # Here and not in `run`, which is a task of its own if somebody waits for several.
        command.let_go()
        return run(command, removing_async(_in_lists, call, args) if command.name == "LREM" else call, instance, kwargs)

    return execute
