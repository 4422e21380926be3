"""Messages over a real Redis: what the application sends and gets, and whose trace it handles each in."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import json
import logging
import os
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import redis
import redis.asyncio
from opentelemetry.instrumentation import redis as upstream
from opentelemetry.trace import SpanKind, StatusCode

sys.path.insert(0, str(Path(__file__).parents[3] / "docker" / "demo"))

from harness import redis_server
from processes import HOST, Port, wait_for

from tracebaton_configurator.logs.ids import current_ids
from tracebaton_configurator.propagation import (
    redis_calls,
    redis_messages,
    redis_messages_current,
    redis_scripts,
    threads,
)
from tracebaton_configurator.propagation.incoming import Incoming, trace_headers
from tracebaton_configurator.propagation.job_queues import between_runs, run_of
from tracebaton_configurator.propagation.redis_messages_streams import Messages
from tracebaton_configurator.sampling.late_spans import REASON, mark_failed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    MakeTraced = Callable[..., Any]
    Client = redis.Redis

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"
UNSAMPLED = f"00-{TRACE}-b7ad6b7169203331-00"
SHAPES = [{"protocol": protocol, "decode_responses": decoded} for protocol in (None, 2, 3) for decoded in (True, False)]


@contextmanager
def served(directory: str, *options: str) -> Iterator[None]:
    """By a server that keeps everything in memory."""
    command = [redis_server(), "--dir", directory, "--save", "", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert any("ready to accept" in line.lower() for line in process.stdout)
        threading.Thread(target=process.stdout.read, daemon=True).start()
        yield
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def socket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory = str(tmp_path_factory.mktemp("redis"))
    with served(directory, "--port", "0", "--unixsocket", f"{directory}/s"):
        yield f"{directory}/s"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Of a cluster of one, whose nodes would speak to one another 10000 above it."""
    ports = [Port() for _ in range(50)]
    try:
        number = next(port.number for port in ports if port.number < 55_536)
        directory = str(tmp_path_factory.mktemp("cluster"))
        with (
            served(directory, "--port", str(number), "--cluster-enabled", "yes"),
            closing(redis.Redis(host=HOST, port=number)) as client,
        ):
            client.execute_command("CLUSTER ADDSLOTS", *range(16384))
            wait_for(lambda: client.cluster("info").get("cluster_state") == "ok", 20)
            yield number
    finally:
        for port in ports:
            port.release()


@pytest.fixture
def messages(traced: MakeTraced, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Makes Redis a bus that carries the trace; all that is patched is put back."""
    tables = redis_messages._tables()
    kept = [dict(table) for table in tables]
    connection, asynchronous = import_module("redis.connection"), import_module("redis.asyncio.connection")
    for owner, name in (
        (connection.PythonRespSerializer, "pack"),
        (connection.HiredisRespSerializer, "pack"),
        (asynchronous.AbstractConnection, "pack_command"),
        *((owner, "pack_commands") for owner in (connection.AbstractConnection, asynchronous.AbstractConnection)),
        *((owner, name) for owner in (redis.client.PubSub, redis.asyncio.client.PubSub)
          for name in ("parse_response", "handle_message")),
        (upstream, "_traced_execute_factory"),
        (upstream, "_async_traced_execute_factory"),
        (upstream, "_traced_execute_pipeline_factory"),
        (upstream, "_async_traced_execute_pipeline_factory"),
    ):  # fmt: skip
        monkeypatch.setattr(owner, name, getattr(owner, name))
    monkeypatch.setattr(redis_messages, "_in_lists", redis_messages.TakenOutOfLists())
    instrumentor = upstream.RedisInstrumentor()

    def make(rules: str = "*=1", kinds: tuple[str, ...] = ("streams", "pubsub", "lists")) -> Any:
        made = traced(rules)
        assert redis_messages._replace(kinds)
        assert redis_scripts._replace_factories()  # as in any process, in this order
        redis_calls.replace_factories()
        assert redis_messages._replace_factories()
        instrumentor.instrument(tracer_provider=made.provider)
        made.consumed = lambda: [span for span in made.spans() if span.kind is SpanKind.CONSUMER]
        return made

    yield make
    redis_messages_current.let_go("", waits=True)
    instrumentor.uninstrument()
    for table, before in zip(tables, kept, strict=True):
        table.clear()
        table.update(before)


@pytest.fixture(params=SHAPES, ids=lambda shape: f"{shape['protocol']}-{shape['decode_responses']}")
def shaped(request: Any, messages: Any, socket: str) -> Iterator[Callable[[], Client]]:
    yield lambda: redis.Redis(unix_socket_path=socket, **request.param)
    with closing(redis.Redis(unix_socket_path=socket)) as client:
        client.flushall()


@pytest.fixture
def client(messages: Any, socket: str) -> Iterator[Client]:
    """One that decodes; it was made before anything was patched where a test patches late."""
    with closing(redis.Redis(unix_socket_path=socket)) as one:
        yield one
        one.flushall()


def in_trace(parent: str = PARENT) -> Incoming:
    return Incoming("a request", {"traceparent": parent, "baggage": "tenant=acme"}, kind=SpanKind.SERVER)


def parents_of(spans: list[Any], made: Any) -> list[str]:
    by_id = {span.context.span_id: span.name for span in made.spans()}
    return [by_id[span.parent.span_id] for span in spans]


class TestStreams:
    def test_each_message_has_the_senders_trace_and_is_as_it_was_sent(
        self, messages: Any, shaped: Callable[[], Client]
    ) -> None:
        made, seen = messages(), []
        client = shaped()
        with in_trace():
            for number in range(3):
                client.xadd("jobs", {"a": number, "b": "x"}, maxlen=10)
        client.xgroup_create("jobs", "workers", "0")
        response = client.xreadgroup("workers", "me", {"jobs": ">"}, count=3)
        for _, batch in response.items() if isinstance(response, dict) else response:
            for one in batch if isinstance(batch[0], list) else [batch]:
                assert isinstance(one, list)
                for key, fields in one:
                    seen.append((key, dict(fields), current_ids(), trace_headers()["baggage"]))
                    client.set("done", 1)
        text = (lambda value: value) if client.get_encoder().decode_responses else str.encode
        assert [fields for _, fields, _, _ in seen] == [
            {text("a"): text(f"{n}"), text("b"): text("x")} for n in range(3)
        ]
        assert {(ids.trace_id, ids.trace_flags, carried) for _, _, ids, carried in seen} == {
            (TRACE, "01", "tenant=acme")
        }
        consumed = made.consumed()
        assert [span.name for span in consumed] == ["process jobs"] * 3
        assert parents_of(consumed, made) == ["XADD"] * 3
        assert {span.attributes["messaging.consumer.group.name"] for span in consumed} == {"workers"}
        assert len({span.attributes["messaging.message.id"] for span in consumed}) == 3
        assert [parent for span in made.spans() if span.name == "SET" for parent in parents_of([span], made)] == [
            "process jobs"
        ] * 3
        assert current_ids() is None

    def test_what_is_handed_out_is_the_list_that_it_was(self, messages: Any, shaped: Callable[[], Client]) -> None:
        plain = shaped()  # made before, so with the callbacks of before
        with closing(plain):
            plain.xadd("jobs", {"a": "1", "b": "2"}, id="1-1")
            plain.xadd("jobs", {"a": "3"}, id="2-1")
            expected = plain.xread({"jobs": "0"})
        made = messages()
        client = shaped()
        found = client.xread({"jobs": "0"})
        assert found == expected
        assert repr(found) == repr(expected)
        assert (len(found), type(found)) == (len(expected), type(expected))
        for duplicate in (copy.copy(found), copy.deepcopy(found), pickle.loads(pickle.dumps(found))):  # noqa: S301
            assert duplicate == expected
        assert b"tracebaton" not in pickle.dumps(found)
        if client.get_encoder().decode_responses:
            assert json.dumps(found) == json.dumps(expected)
        assert made.consumed() == [] or client.get_encoder().decode_responses
        (one,) = found.values() if isinstance(found, dict) else [found[0][1]]
        one = one[0] if isinstance(one[0], list) else one
        assert (one[0], one[-1], one[:1]) == (one[-2], one[1], [one[0]])
        assert (type(one[:]), type(copy.copy(one)), type(copy.deepcopy(one)[0][1])) == (list, list, dict)
        assert sorted(one, reverse=True) == list(reversed(one))

    @pytest.mark.parametrize("fields", [{}, {b"x": b"1"}, {b"traceparent": b"nonsense", b"tracebaton": b"traceparent"}])
    def test_of_a_producer_without_it(self, messages: Any, client: Client, fields: Any) -> None:
        sent = {b"n": b"1", **fields}
        client.xadd("raw", sent)  # type: ignore[arg-type]
        made = messages()
        reader = redis.Redis(connection_pool=client.connection_pool)
        assert [dict(got) for _, got in reader.xread({"raw": 0})[0][1]] == [sent]
        assert [span.parent for span in made.consumed()] == [None]

    def test_the_applications_own_is_followed_and_stays(self, messages: Any, client: Client) -> None:
        made = messages()
        with in_trace(f"00-{'1' * 32}-{'2' * 16}-01"):
            client.xadd("own", {"traceparent": PARENT, "a": "1"})
            client.xadd("other", {"baggage": "one bag", "a": "1"})
        reader = redis.Redis(connection_pool=client.connection_pool)
        for _, fields in reader.xread({"own": 0})[0][1]:
            assert fields == {b"traceparent": PARENT.encode(), b"a": b"1"}
            assert fields[b"a"]
            assert current_ids().trace_id == TRACE  # type: ignore[union-attr]
        for _, fields in reader.xread({"other": 0})[0][1]:
            assert fields == {b"baggage": b"one bag", b"a": b"1"}
            assert fields[b"a"]
        assert [f"{span.context.trace_id:032x}" for span in made.consumed()] == [TRACE, "1" * 32]

    def test_outside_any_trace_and_by_default_nothing_is_written(self, messages: Any, client: Client) -> None:
        messages(kinds=("pubsub", "lists"))
        with in_trace():
            client.xadd("jobs", {"a": "1"})
        assert client.xrange("jobs") == [(client.xrange("jobs")[0][0], {b"a": b"1"})]

    def test_unsampled_goes_on_and_a_failing_one_is_kept(self, messages: Any, client: Client) -> None:
        made = messages()
        reader = redis.Redis(connection_pool=client.connection_pool)
        with in_trace(UNSAMPLED):
            client.xadd("jobs", {"n": "1"})
            client.xadd("jobs", {"n": "2"})
        handed_on = []
        for _, fields in reader.xread({"jobs": 0})[0][1]:
            handed_on.append(trace_headers()["traceparent"])
            reader.set("x", 1)
            if fields[b"n"] == b"2":
                mark_failed(ValueError("no such job"))
        assert [(header[3:35], header[-2:]) for header in handed_on] == [(TRACE, "00")] * 2
        span, command = made.spans()
        assert (span.name, span.attributes[REASON]) == ("process jobs", "error")
        assert (command.name, command.parent.span_id) == ("SET", span.context.span_id)
        assert span.status.status_code is StatusCode.ERROR
        assert handed_on[1] == f"00-{TRACE}-{span.context.span_id:016x}-00"

    def test_an_exception_that_leaves_the_loop_is_logged_within_it(self, messages: Any, client: Client) -> None:
        made = messages()
        reader = redis.Redis(connection_pool=client.connection_pool)
        with in_trace():
            client.xadd("jobs", {"n": "1"})
        try:
            for _, fields in reader.xread({"jobs": 0})[0][1]:
                int(fields[b"n"] + b"x")
        except ValueError:
            assert current_ids().trace_id == TRACE  # type: ignore[union-attr]
        assert made.consumed() == []
        reader.xread({"jobs": "$"}, block=1)
        assert current_ids() is None
        assert [span.name for span in made.consumed()] == ["process jobs"]
        (poll,) = [span for span in made.spans() if span.name == "XREAD"] or [None]
        assert poll is None

    def test_one_message_by_its_index(self, messages: Any, client: Client) -> None:
        made = messages()
        reader = redis.Redis(connection_pool=client.connection_pool)
        with in_trace():
            client.xadd("jobs", {"n": "1"})
            client.xadd("jobs", {"n": "2"})
        batch = reader.xread({"jobs": 0}, count=2)[0][1]
        _, fields = batch[0]
        assert current_ids() is None
        assert fields.get(b"n") == b"1"
        assert current_ids().trace_id == TRACE  # type: ignore[union-attr]
        reader.xack("jobs", "workers", batch[0][0])
        last = batch[-1][0]
        reader.xread({"jobs": "$"}, block=1)
        assert current_ids() is None
        assert last.endswith((b"-0", b"-1"))
        assert [span.name for span in made.consumed()] == ["process jobs"]
        assert parents_of([span for span in made.spans() if span.name == "XACK"], made) == ["process jobs"]

    def test_a_function_that_returns_in_the_loop(self, messages: Any, client: Client) -> None:
        made = messages()
        with in_trace():
            client.xadd("jobs", {"n": "1"})

        def first() -> bytes:
            for _, fields in redis.Redis(connection_pool=client.connection_pool).xread({"jobs": 0})[0][1]:
                return fields[b"n"]
            return b""

        thread = threading.Thread(target=first)
        thread.start()
        thread.join()
        assert [span.name for span in made.consumed()] == ["process jobs"]

    def test_one_list_of_all_of_them(self, messages: Any, client: Client) -> None:
        """What no iteration is at is current from when it is read."""
        made = messages()
        with in_trace():
            for number in range(3):
                client.xadd("jobs", {"n": number})
        reader = redis.Redis(connection_pool=client.connection_pool)
        flat = [one for _, batch in reader.xread({"jobs": 0}) for one in batch]
        assert (made.consumed(), current_ids()) == ([], None)
        for key, fields in flat:
            assert fields[b"n"]
            reader.xack("jobs", "workers", key)
        reader.xread({"jobs": "$"}, block=1)
        assert [span.name for span in made.consumed()] == ["process jobs"] * 3
        acknowledged = [span for span in made.spans() if span.name == "XACK"]
        assert [span.parent.span_id for span in acknowledged] == [span.context.span_id for span in made.consumed()]

    @pytest.mark.parametrize("way", ["break", "return", "raise", "next"])
    def test_a_request_that_leaves_the_iteration_goes_on(self, messages: Any, client: Client, way: str) -> None:
        made = messages()
        reader = redis.Redis(connection_pool=client.connection_pool)
        with in_trace():
            client.xadd("jobs", {"n": "1"})
            client.xadd("jobs", {"n": "2"})

        def find() -> Any:
            batch = reader.xread({"jobs": 0})[0][1]
            if way == "next":
                return next(iter(batch))[1][b"n"]
            for _, fields in batch:
                if fields[b"n"] == b"1" and way == "return":
                    return current_ids()
                if way == "raise":
                    raise LookupError
                if way == "break":
                    break
            return None

        with in_trace(f"00-{'1' * 32}-{'2' * 16}-01") as request:
            own = request.span.get_span_context().span_id
            with suppress(LookupError):
                find()
            assert current_ids().trace_id == "1" * 32  # type: ignore[union-attr]
            assert current_ids().span_id == f"{own:016x}"  # type: ignore[union-attr]
            client.set("x", 1)
        assert [span.parent.span_id for span in made.spans() if span.name == "SET"] == [own]

    def test_a_second_pass(self, messages: Any, client: Client) -> None:
        made = messages()
        reader = redis.Redis(connection_pool=client.connection_pool)
        with in_trace():
            client.xadd("jobs", {"n": "1"})
            client.xadd("jobs", {"n": "2"})
        batch = reader.xread({"jobs": 0})[0][1]
        first = [(fields[b"n"], current_ids()) for _, fields in batch]
        second = [(fields[b"n"], current_ids()) for _, fields in batch]
        assert first == second
        assert {ids.trace_id for _, ids in second} == {TRACE}  # type: ignore[union-attr]
        assert current_ids() is None
        reader.xread({"jobs": "$"}, block=1)
        assert [current_ids() for _ in batch] == [None, None]
        assert len(made.consumed()) == 2

    @pytest.mark.parametrize("handled_at_once", [True, False])
    def test_a_forked_child_ends_none_of_its_parents(
        self, messages: Any, client: Client, tmp_path: Path, *, handled_at_once: bool
    ) -> None:
        made = messages()
        reader = redis.Redis(connection_pool=client.connection_pool)
        with in_trace():
            client.xadd("jobs", {"n": "1"})
        (response,) = reader.xread({"jobs": 0})[0][1:]
        for _, fields in response:
            if handled_at_once:
                assert fields[b"n"]
            child = os.fork()
            if child == 0:
                try:
                    ids = current_ids()
                    redis_messages_current.end_all()
                    redis_messages_current.let_go("", waits=True)
                    (tmp_path / "said").write_text(f"{ids and ids.trace_id} {len(made.consumed())}")
                finally:
                    os._exit(0)
            os.waitpid(child, 0)
        assert (tmp_path / "said").read_text() == f"{TRACE} 0"
        del response, _
        if not handled_at_once:
            del fields
        assert len(made.consumed()) == 1

    def test_claims_and_what_only_shows(self, messages: Any, client: Client) -> None:
        made = messages()
        reader = redis.Redis(connection_pool=client.connection_pool)
        with in_trace():
            key = client.xadd("jobs", {"n": "1"})
        client.xgroup_create("jobs", "workers", "0")
        reader.xreadgroup("workers", "lost", {"jobs": ">"})
        assert reader.xrange("jobs") == reader.xrevrange("jobs") == [(key, {b"n": b"1"})]
        assert type(reader.xrange("jobs")) is list
        assert made.consumed() == []
        (_, found, *_) = reader.xautoclaim("jobs", "workers", "me", 0)
        assert isinstance(found, Messages)
        for _, fields in found:
            assert fields == {b"n": b"1"}
            assert fields[b"n"]
            assert current_ids().trace_id == TRACE  # type: ignore[union-attr]
        for _, fields in reader.xclaim("jobs", "workers", "me", 0, [key]):
            assert fields[b"n"] == b"1"
        assert reader.xclaim("jobs", "workers", "me", 0, [key], justid=True) == [key]
        assert [(span.name, span.attributes["messaging.operation.name"]) for span in made.consumed()] == [
            ("process jobs", "xautoclaim"),
            ("process jobs", "xclaim"),
        ]
        assert {span.attributes["messaging.consumer.group.name"] for span in made.consumed()} == {"workers"}

    @pytest.mark.parametrize("transaction", [True, False])
    def test_pipelines(self, messages: Any, client: Client, *, transaction: bool) -> None:
        made = messages()
        with in_trace(), client.pipeline(transaction=transaction) as pipeline:
            pipeline.xadd("jobs", {"n": "1"}).execute_command("xadd", "jobs", "MAXLEN", "~", 5, "*", "n", "2")
            assert len(pipeline.execute()) == 2
        reader = redis.Redis(connection_pool=client.connection_pool)
        with reader.pipeline(transaction=transaction) as pipeline:
            pipeline.xread({"jobs": 0}).get("x")
            (response, _) = pipeline.execute()
        found = []
        for _, fields in response[0][1]:
            found.append(fields[b"n"])
            assert set(fields) == {b"n"}
        assert found == [b"1", b"2"]
        assert parents_of(made.consumed(), made) == ["XADD xadd"] * 2

    def test_threads(self, messages: Any, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        made = messages()
        monkeypatch.setattr(threads, "_left_to_upstream", set())
        with in_trace():
            for number in range(3):
                client.xadd("jobs", {"n": number})
        reader = redis.Redis(connection_pool=client.connection_pool)
        before = (import_module("concurrent.futures.thread")._WorkItem.__init__, ThreadPoolExecutor)
        threads._replace_work_item(import_module("concurrent.futures.thread"))
        try:
            with ThreadPoolExecutor(2) as pool:
                found = list(
                    pool.map(
                        lambda one: (one[1][b"n"], current_ids().span_id),  # type: ignore[union-attr]
                        reader.xread({"jobs": 0})[0][1],
                    )
                )
        finally:
            while threads._undo:
                threads._undo.pop()()
        assert import_module("concurrent.futures.thread")._WorkItem.__init__ is before[0]
        assert [number for number, _ in found] == [b"0", b"1", b"2"]
        assert {f"{span.context.span_id:016x}" for span in made.consumed()} == {span_id for _, span_id in found}

    def test_one_within_another(self, messages: Any, client: Client) -> None:
        made = messages()
        reader = redis.Redis(connection_pool=client.connection_pool)
        with in_trace():
            client.xadd("outer", {"n": "1"})
        with in_trace(f"00-{'1' * 32}-{'2' * 16}-01"):
            client.xadd("inner", {"n": "1"})
            client.lpush("reply", "{}")
        for _, fields in reader.xread({"outer": 0})[0][1]:
            assert fields[b"n"]
            for _, other in reader.xread({"inner": 0})[0][1]:
                assert other[b"n"]
                assert current_ids().trace_id == "1" * 32  # type: ignore[union-attr]
            assert current_ids().trace_id == TRACE  # type: ignore[union-attr]
            assert reader.blpop(["reply"]) == (b"reply", b"{}")
            assert current_ids().trace_id == TRACE  # type: ignore[union-attr]
        assert current_ids() is None
        assert [span.name for span in made.consumed()] == ["process inner", "process outer"]
        assert [f"{link.context.trace_id:032x}" for link in made.consumed()[1].links] == ["1" * 32]

    def test_a_message_whose_fields_nobody_reads(self, messages: Any, client: Client) -> None:
        made = messages()
        reader = redis.Redis(connection_pool=client.connection_pool)
        with in_trace():
            client.xadd("jobs", {"n": "1"})
        response = reader.xread({"jobs": 0})
        for key, _ in response[0][1]:
            reader.xack("jobs", "workers", key)
        assert made.consumed() == []
        del response, _
        assert [span.name for span in made.consumed()] == ["process jobs"]
        (acknowledged,) = [span for span in made.spans() if span.name == "XACK"]
        assert acknowledged.end_time <= made.consumed()[0].end_time
        assert parents_of([acknowledged], made) == ["process jobs"]

    def test_one_that_nobody_deals_with_waits_for_no_other_message(self, messages: Any, client: Client) -> None:
        """Its span ends with the second command that waits; whoever reads it after that has another."""
        made = messages()
        reader = redis.Redis(connection_pool=client.connection_pool)
        with in_trace():
            client.xadd("jobs", {"n": "1"})
        response = reader.xread({"jobs": 0})
        for _ in response[0][1]:
            reader.set("x", 1)
        reader.xread({"jobs": "$"}, block=1)
        assert made.consumed() == []
        reader.xread({"jobs": "$"}, block=1)
        assert len(made.consumed()) == 1
        assert response[0][1][0][1][b"n"] == b"1"
        assert current_ids().trace_id == TRACE  # type: ignore[union-attr]
        reader.xread({"jobs": "$"}, block=1)
        assert len(made.consumed()) == 2
        assert parents_of(made.consumed(), made) == ["XADD"] * 2

    def test_a_request_that_reads_goes_on_and_links(self, messages: Any, client: Client) -> None:
        made = messages()
        reader = redis.Redis(connection_pool=client.connection_pool)
        with in_trace():
            client.xadd("jobs", {"n": "1"})
            client.rpush("reply", "{}")
        with in_trace(f"00-{'1' * 32}-{'2' * 16}-01"):
            (batch,) = [batch for _, batch in reader.xread({"jobs": 0})]
            assert batch[0][1][b"n"] == b"1"
            assert reader.lpop("reply") == b"{}"
            assert current_ids().trace_id == "1" * 32  # type: ignore[union-attr]
            for _, fields in reader.xread({"jobs": 0})[0][1]:
                assert fields[b"n"]
                assert current_ids().trace_id == TRACE  # type: ignore[union-attr]
            assert current_ids().trace_id == "1" * 32  # type: ignore[union-attr]
        request = made.spans()[-1]
        assert [f"{link.context.trace_id:032x}" for link in request.links] == [TRACE] * 2
        assert [span.name for span in made.consumed()] == ["process jobs"]

    def test_while_off(self, messages: Any, client: Client) -> None:
        made = messages()
        reader = redis.Redis(connection_pool=client.connection_pool)
        with in_trace():
            client.xadd("jobs", {"n": "1"})
        made.switch(off=True)
        client.xadd("jobs", {"n": "2"})
        found = [dict(fields) for _, fields in reader.xread({"jobs": 0})[0][1]]
        assert found == [{b"n": b"1"}, {b"n": b"2"}]
        assert made.consumed() == []
        assert (current_ids(), trace_headers()) == (None, {})


class TestAsyncio:
    """The same clients with asyncio."""

    @pytest.fixture
    def run(self, messages: Any, socket: str) -> Iterator[Callable[[Callable[..., Any]], Any]]:
        def run(use: Callable[..., Any]) -> Any:
            async def main() -> Any:
                async with redis.asyncio.Redis(unix_socket_path=socket) as client:
                    return await use(client)

            return asyncio.run(main())

        yield run
        with closing(redis.Redis(unix_socket_path=socket)) as client:
            client.flushall()

    @staticmethod
    async def send(client: Any, parent: str = PARENT) -> None:
        with in_trace(parent):
            for number in range(3):
                await client.xadd("jobs", {"n": number})

    def test_one_after_the_other(self, messages: Any, run: Any) -> None:
        made = messages()

        async def use(client: Any) -> list[Any]:
            await self.send(client)
            found = []
            for _, fields in (await client.xread({"jobs": 0}))[0][1]:
                await client.set("x", fields[b"n"])
                found.append(current_ids())
            return [*found, current_ids()]

        *inside, after = run(use)
        assert [ids.trace_id for ids in inside] == [TRACE] * 3
        assert after is None
        assert parents_of([span for span in made.spans() if span.name == "SET"], made) == ["process jobs"] * 3
        assert parents_of(made.consumed(), made) == ["XADD"] * 3

    @pytest.mark.parametrize("way", ["create_task", "gather", "TaskGroup-like", "queue"])
    @pytest.mark.parametrize("parent", [PARENT, UNSAMPLED])
    def test_handed_to_tasks(self, messages: Any, run: Any, way: str, parent: str) -> None:
        made = messages()
        found = {}

        async def handle(fields: Any) -> None:
            number = fields[b"n"]
            await asyncio.sleep(0)
            found[number] = current_ids()
            if number == b"1":
                raise ValueError("no such job")

        async def use(client: Any) -> None:
            await self.send(client, parent)
            reading = (await client.xread({"jobs": 0}))[0][1]
            if way == "create_task":
                tasks = [asyncio.create_task(handle(fields)) for _, fields in reading]
                await asyncio.gather(*tasks, return_exceptions=True)
            elif way == "gather":
                await asyncio.gather(*(handle(fields) for _, fields in reading), return_exceptions=True)
            elif way == "TaskGroup-like":
                tasks = []
                for _, fields in reading:
                    tasks.append(asyncio.create_task(handle(fields)))
                    await asyncio.sleep(0)
                await asyncio.gather(*tasks, return_exceptions=True)
            else:
                queue: asyncio.Queue[Any] = asyncio.Queue()

                async def work() -> None:
                    while True:
                        fields = await queue.get()
                        try:
                            await handle(fields)
                        except ValueError as error:
                            mark_failed(error)
                        queue.task_done()

                worker = asyncio.create_task(work())
                for _, fields in reading:
                    queue.put_nowait(fields)
                await queue.join()
                worker.cancel()
            assert current_ids() is None

        run(use)
        assert {ids.trace_id for ids in found.values()} == {TRACE}
        assert len({ids.span_id for ids in found.values()}) == 3
        consumed = made.consumed()
        if parent is UNSAMPLED:
            assert [span.attributes[REASON] for span in consumed] == ["error"]
            assert f"{consumed[0].context.span_id:016x}" == found[b"1"].span_id
        else:
            assert {f"{span.context.span_id:016x}" for span in consumed} == {ids.span_id for ids in found.values()}
        if way != "queue":
            failed = [span for span in consumed if span.status.status_code is StatusCode.ERROR]
            assert [f"{span.context.span_id:016x}" for span in failed] == [found[b"1"].span_id]

    def test_nobody_is_kept_from_hearing_of_an_exception(self, messages: Any, run: Any) -> None:
        messages()
        said: list[Any] = []

        async def fail(fields: Any) -> None:
            raise ValueError(fields[b"n"])

        async def use(client: Any) -> None:
            asyncio.get_running_loop().set_exception_handler(lambda _, context: said.append(context["message"]))
            await self.send(client)
            for _, fields in (await client.xread({"jobs": 0}))[0][1]:
                task = asyncio.create_task(fail(fields))
                await asyncio.wait([task])
                del task

        run(use)
        assert said == ["Task exception was never retrieved"] * 3

    def test_pubsub_and_lists(self, messages: Any, run: Any) -> None:
        made = messages()

        async def use(client: Any) -> list[Any]:
            found = []
            async with client.pubsub() as pubsub:
                await pubsub.subscribe("news")
                with in_trace():
                    await client.publish("news", '{"n": 1}')
                    await client.rpush("queue", '{"n": 2}', "plain")
                while not found:
                    message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=None)
                    if message is not None:
                        found.append((message["data"], current_ids()))
            found.append((await client.blpop(["queue"]), current_ids()))
            found.append((await client.blpop(["queue"]), current_ids()))
            return found

        news, job, plain = run(use)
        assert (news[0], job[0], plain) == (b'{"n": 1}', (b"queue", b'{"n": 2}'), ((b"queue", b"plain"), None))
        assert {news[1].trace_id, job[1].trace_id} == {TRACE}
        assert [span.name for span in made.consumed()] == ["process news", "process queue"]

    def test_equal_values_of_several_traces(self, messages: Any, run: Any) -> None:
        messages()

        async def use(client: Any) -> tuple[int, int]:
            for digit in "12":
                with in_trace(f"00-{digit * 32}-{'2' * 16}-01"):
                    await client.rpush("l", '{"job":1}')
            return await client.lrem("l", 0, '{"job":1}'), await client.llen("l")

        assert run(use) == (2, 0)

    @pytest.mark.parametrize("way", ["gather", "wait"])
    def test_a_task_that_waits_by_another_has_no_stale_trace(self, messages: Any, run: Any, way: str) -> None:
        """As `asyncio.wait_for` does before Python 3.12."""
        messages()

        async def use(client: Any) -> list[Any]:
            for digit in "12":
                with in_trace(f"00-{digit * 32}-{'2' * 16}-01"):
                    await client.lpush("jobs", f'{{"job":{digit}}}')
            await client.brpop(["jobs"], 1)
            found = [current_ids()]
            if way == "gather":
                await asyncio.gather(client.brpop(["jobs"], 1))
            else:
                await asyncio.wait([asyncio.create_task(client.brpop(["jobs"], 1))])
            return [*found, current_ids()]

        first, second = run(use)
        assert first.trace_id == "1" * 32
        assert second is None or second.trace_id == "2" * 32

    def test_a_command_that_is_closed_elsewhere(self, messages: Any, run: Any) -> None:
        messages()

        async def use(client: Any) -> None:
            await client.ping()
            command = client.execute_command("BLPOP", "nothing", 5)
            contextvars.copy_context().run(command.send, None)
            command.close()

        run(use)


class TestLists:
    def test_what_is_popped_is_as_it_was_pushed(self, messages: Any, shaped: Callable[[], Client]) -> None:
        made = messages()
        client = shaped()
        text = (lambda value: value) if client.get_encoder().decode_responses else str.encode
        sent = ['{ "a": 1.0 }', "{}", "[1]", "plain", '{"b":2}']
        with in_trace():
            client.rpush("l", *sent)
        assert client.lrange("l", 0, -1) == [text(one) for one in sent]
        assert client.lindex("l", 0) == text(sent[0])
        assert current_ids() is None
        assert client.lpos("l", sent[4]) == 4
        popped = [client.lpop("l"), client.lmove("l", "m", "LEFT", "RIGHT"), client.rpoplpush("l", "m")]
        assert popped == [text(sent[0]), text(sent[1]), text(sent[4])]
        assert current_ids().trace_id == TRACE  # type: ignore[union-attr]
        assert client.lrem("m", 1, popped[2]) == 1
        key, value = client.brpop(["l"])
        assert (key, value) == (text("l"), text("plain"))
        assert current_ids() is None
        assert client.blmove("l", "n", 1) == text("[1]")
        assert client.lrem("m", 0, sent[1]) == 1
        assert [span.name for span in made.consumed()] == ["process l"] * 3
        assert client.llen("m") == 0

    def test_several_at_once(self, messages: Any, shaped: Callable[[], Client]) -> None:
        made = messages()
        client = shaped()
        with in_trace():
            client.rpush("l", '{"n":0}', "plain", '{"n":2}')
        (response,) = [client.lpop("l", 3)]
        found = [(len(one), current_ids()) for one in response]
        assert [size for size, _ in found] == [7, 5, 7]
        assert [ids and ids.trace_id for _, ids in found] == [TRACE, None, TRACE]
        assert len(made.consumed()) == 2
        assert client.lpop("l", 3) is None

    def test_the_next_of_the_same_ends_it(self, messages: Any, client: Client) -> None:
        """A loop that asks again and again, and never waits."""
        made = messages()
        reader = redis.Redis(connection_pool=client.connection_pool)
        with in_trace():
            client.rpush("l", "{}")
        assert reader.rpop("l") == b"{}"
        reader.lpop("another")
        assert current_ids() is not None
        assert reader.rpop("l") is None
        assert current_ids() is None
        assert len(made.consumed()) == 1

    def test_what_is_removed_may_be_asked_for_again(self, messages: Any, client: Client) -> None:
        """A command is packed twice where the connection broke down, or a transaction did not take place."""
        messages()
        reader = redis.Redis(connection_pool=client.connection_pool)
        with in_trace():
            client.rpush("l", '{"job":1}')
        value = reader.lmove("l", "m", "LEFT", "RIGHT")
        with reader.pipeline() as pipeline:
            for attempt in range(2):
                pipeline.watch("k")
                if attempt == 0:
                    client.incr("k")
                pipeline.multi()
                pipeline.lrem("m", 1, value)
                if attempt == 0:
                    with pytest.raises(redis.WatchError):
                        pipeline.execute()
                else:
                    assert pipeline.execute() == [1]
        assert reader.llen("m") == 0

    @pytest.mark.parametrize(("count", "removed"), [(0, 3), (1, 1), (-2, 2), (5, 3)])
    def test_equal_values_of_several_traces(self, messages: Any, client: Client, count: int, removed: int) -> None:
        client.rpush("l", '{"job":1}')
        messages()
        reader = redis.Redis(connection_pool=client.connection_pool)
        for digit in "12":
            with in_trace(f"00-{digit * 32}-{'2' * 16}-01"):
                client.rpush("l", '{"job":1}')
        client.rpush("l", '{"job":2}')
        for _ in range(3):
            reader.lmove("l", "m", "LEFT", "RIGHT")
        assert reader.lrem("m", count, '{"job":1}') == removed
        assert reader.llen("m") == 3 - removed
        assert reader.lrem("m", 0, '{"job":1}') == 3 - removed
        assert reader.llen("m") == 0

    @pytest.mark.parametrize("transaction", [True, False])
    def test_equal_values_in_one_pipeline(self, messages: Any, client: Client, *, transaction: bool) -> None:
        messages()
        reader = redis.Redis(connection_pool=client.connection_pool)
        for digit in "12":
            with in_trace(f"00-{digit * 32}-{'2' * 16}-01"):
                client.rpush("l", '{"job":1}')
        reader.lrange("l", 0, -1)
        with reader.pipeline(transaction=transaction) as pipeline:
            assert pipeline.lrem("l", 1, '{"job":1}').lrem("l", 1, '{"job":1}').execute() == [1, 1]

    def test_the_newest_that_was_read_is_a_plain_one(self, messages: Any, client: Client) -> None:
        messages()
        reader = redis.Redis(connection_pool=client.connection_pool)
        with in_trace():
            client.rpush("l", '{"job":1}')
        value = reader.lmove("l", "m", "LEFT", "RIGHT")
        assert reader.lrem("m", 1, value) == 1
        client.rpush("l", '{"job":1}')
        value = reader.lmove("l", "m", "LEFT", "RIGHT")
        assert reader.pipeline().lrem("m", 1, value).execute() == [1]

    def test_what_this_process_has_pushed(self, messages: Any, client: Client) -> None:
        messages()
        with in_trace():
            client.rpush("l", '{"job":1}', b'{"job":2}')
        assert client.lpos("l", '{"job":2}') == 1
        assert client.lrem("l", 1, '{"job":1}') == 1
        assert client.pipeline().lrem("l", 1, b'{"job":2}').execute() == [1]

    def test_by_default_a_list_is_left_alone(self, messages: Any, client: Client) -> None:
        messages(kinds=("streams",))
        with in_trace():
            client.rpush("l", "{}")
            client.publish("c", "{}")
        assert client.lrange("l", 0, -1) == [b"{}"]


class TestWaits:
    """Only what waits for the same ends a message."""

    @pytest.mark.parametrize("command", ["semaphore", "pubsub", "other stream", "rpop"])
    def test_for_something_else(self, messages: Any, client: Client, command: str) -> None:
        made = messages()
        reader = redis.Redis(connection_pool=client.connection_pool)
        with in_trace():
            client.rpush("high", "{}")
        with reader.pubsub() as pubsub:
            pubsub.subscribe("cancel")
            pubsub.get_message(timeout=5)
            assert reader.brpop(["low", "high"], 1) == (b"high", b"{}")
            for _ in range(3):
                if command == "semaphore":
                    reader.blpop(["semaphore"], 0.01)
                elif command == "pubsub":
                    pubsub.get_message()
                elif command == "rpop":
                    reader.rpop("other")
                else:
                    reader.xread({"other": "$"}, block=1)
            assert current_ids().trace_id == TRACE  # type: ignore[union-attr]
        assert made.consumed() == []
        reader.brpop(["low", "high"], 0.01)
        assert current_ids() is None
        assert len(made.consumed()) == 1

    def test_what_comes_from_somewhere_else_takes_its_place(self, messages: Any, client: Client) -> None:
        made = messages()
        reader = redis.Redis(connection_pool=client.connection_pool)
        for digit, name in ("1", "high"), ("2", "low"):
            with in_trace(f"00-{digit * 32}-{'2' * 16}-01"):
                client.rpush(name, "{}")
        found = []
        for name in ("high", "low"):
            reader.blpop([name], 1)
            found.append(current_ids().trace_id)  # type: ignore[union-attr]
        assert found == ["1" * 32, "2" * 32]
        assert len(made.consumed()) == 1

    def test_what_is_polled_for_nobody_is_no_message(self, messages: Any, client: Client) -> None:
        """A job library's worker that looks for work: the job's own span stands."""
        made = messages()
        reader = redis.Redis(connection_pool=client.connection_pool)
        with in_trace():
            client.rpush("l", "{}")
            client.xadd("s", {"n": "1"})
        with between_runs("taskiq"):
            assert reader.blpop(["l"], 1) == (b"l", b"{}")
            assert [dict(fields) for _, fields in reader.xread({"s": 0})[0][1]] == [{b"n": b"1"}]
        assert current_ids() is None
        assert made.consumed() == []

    @pytest.mark.parametrize("of_the_job", [True, False])
    def test_a_job_librarys_run_stands(self, messages: Any, client: Client, *, of_the_job: bool) -> None:
        """Also where the trace comes from the message alone."""
        made = messages()
        reader = redis.Redis(connection_pool=client.connection_pool)
        with in_trace():
            headers = trace_headers() if of_the_job else {}
            client.xadd("s", {"n": "1"})
        for _, fields in reader.xread({"s": 0})[0][1]:
            assert fields[b"n"]
            run = run_of("taskiq", "s", headers, message_id="1", function="f")
            assert run is not None
            with run:
                assert current_ids().trace_id == TRACE  # type: ignore[union-attr]
        assert current_ids() is None
        assert [span.attributes["messaging.system"] for span in made.consumed()] == ["taskiq"]
        assert {f"{span.context.trace_id:032x}" for span in made.consumed()} == {TRACE}


class TestPubSub:
    @pytest.mark.parametrize("pattern", [True, False])
    def test_what_is_published(self, messages: Any, shaped: Callable[[], Client], *, pattern: bool) -> None:
        made = messages()
        client = shaped()
        text = (lambda value: value) if client.get_encoder().decode_responses else str.encode
        with client.pubsub(ignore_subscribe_messages=True) as pubsub:
            (pubsub.psubscribe if pattern else pubsub.subscribe)("news")
            pubsub.get_message(timeout=5)
            for value in ('{"n": 1}', "plain"):
                with in_trace():
                    client.publish("news", value)
            first = next(pubsub.listen())
            assert (first["data"], first["channel"]) == (text('{"n": 1}'), text("news"))
            assert current_ids().trace_id == TRACE  # type: ignore[union-attr]
            second = pubsub.get_message(timeout=5)
            assert (second["data"], current_ids()) == (text("plain"), None)
        assert [(span.name, parents_of([span], made)) for span in made.consumed()] == [("process news", ["PUBLISH"])]

    def test_a_handler(self, messages: Any, client: Client) -> None:
        made = messages()
        found: list[Any] = []

        def handle(message: Any) -> None:
            found.append((message["data"], current_ids()))
            raise ValueError("no such news")

        with client.pubsub() as pubsub:
            pubsub.subscribe(news=handle)
            pubsub.get_message(timeout=5)
            with in_trace(UNSAMPLED):
                client.publish("news", "{}")
            with pytest.raises(ValueError, match="news"):
                pubsub.get_message(timeout=5)
        assert [(data, ids.trace_id) for data, ids in found] == [(b"{}", TRACE)]
        assert [span.attributes[REASON] for span in made.consumed()] == ["error"]
        assert current_ids() is None


class TestCluster:
    def test_of_one(self, messages: Any, cluster: int) -> None:
        made = messages()
        with closing(redis.RedisCluster(host=HOST, port=cluster)) as client:
            with in_trace():
                client.xadd("jobs", {"n": "1"})
                client.pipeline().xadd("jobs", {"n": "2"}).lpush("queue", "{}").execute()
            for _, fields in client.xread({"jobs": 0}).pop()[1]:
                assert set(fields) == {b"n"}
                assert current_ids().trace_id == TRACE  # type: ignore[union-attr]
            assert client.brpop(["queue"]) == (b"queue", b"{}")
            assert current_ids().trace_id == TRACE  # type: ignore[union-attr]
            client.brpop(["queue"], timeout=0.01)
            assert current_ids() is None
        assert [span.name for span in made.consumed()] == ["process jobs", "process jobs", "process queue"]

    def test_of_one_with_asyncio(self, messages: Any, cluster: int) -> None:
        made = messages()

        async def use() -> None:
            async with redis.asyncio.RedisCluster(host=HOST, port=cluster) as client:
                await client.delete("jobs")
                with in_trace():
                    await client.xadd("jobs", {"n": "1"})
                    await client.pipeline().xadd("jobs", {"n": "2"}).lpush("queue", "{}").execute()
                for _, fields in (await client.xread({"jobs": 0})).pop()[1]:
                    assert set(fields) == {b"n"}
                    assert current_ids().trace_id == TRACE  # type: ignore[union-attr]
                assert await client.rpop("queue") == b"{}"
                assert current_ids().trace_id == TRACE  # type: ignore[union-attr]

        asyncio.run(use())
        assert [span.name for span in made.consumed()] == ["process jobs", "process jobs", "process queue"]


class TestFits:
    def test_redis_without_its_tables_is_left_as_it_is(self, monkeypatch: pytest.MonkeyPatch) -> None:
        pack = redis.connection.PythonRespSerializer.pack
        for module in map(sys.modules.get, ("redis._parsers.helpers", "redis._parsers.response_callbacks")):
            for key in [key for key in dir(module) if key.startswith("_RedisCallbacks")]:
                monkeypatch.delattr(module, key)
        with pytest.raises(KeyError):
            redis_messages._replace(("streams",))
        assert redis.connection.PythonRespSerializer.pack is pack

    def test_upstream_without_its_factories_is_left_as_it_is(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delattr(upstream, "_traced_execute_factory")
        assert not redis_messages._replace_factories()

    def test_what_fails_fails_no_command(
        self, messages: Any, client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        messages()
        monkeypatch.setattr(redis_messages, "trace_headers", lambda: 1 / 0)
        monkeypatch.setattr(redis_messages, "handed_out", lambda *_: 1 / 0)
        reader = redis.Redis(connection_pool=client.connection_pool)
        with caplog.at_level(logging.CRITICAL):
            key = reader.xadd("jobs", {"n": "1"})
            assert reader.xread({"jobs": 0}) == [[b"jobs", [(key, {b"n": b"1"})]]]

    def test_a_process_ends_with_one_that_is_current(
        self, messages: Any, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """By an exception, which Python has said by then."""
        made = messages()
        with in_trace(UNSAMPLED):
            client.rpush("l", "{}")
        redis.Redis(connection_pool=client.connection_pool).lpop("l")
        assert redis_messages_current.any_open()
        monkeypatch.setattr(sys, "last_value", ValueError("no such job"), raising=False)
        redis_messages_current.end_all()
        assert [span.attributes[REASON] for span in made.consumed()] == ["error"]
        assert not redis_messages_current.any_open()

    def test_without_upstreams_instrumentation(
        self, traced: MakeTraced, socket: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for owner in (redis.Redis, redis.RedisCluster, redis.asyncio.Redis, redis.asyncio.RedisCluster):
            monkeypatch.setattr(owner, "execute_command", owner.execute_command)
        traced()
        redis_messages._replace_commands(redis)
        message = redis_messages_current.Message("BLPOP", "l", None)
        message.is_read = True
        message.take()
        assert current_ids() is not None
        with closing(redis.Redis(unix_socket_path=socket)) as client:
            client.blpop(["l"], timeout=0.01)
        assert current_ids() is None
