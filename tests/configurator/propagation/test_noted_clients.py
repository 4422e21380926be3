"""Instrumentations of databases below a request that is not recorded: notes where they are taken, else nothing at all.

sqlite3 comes with Python; where an instrumentation is not installed, its test says so.
"""

from __future__ import annotations

import gc
import sqlite3
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.instrumentation.utils import is_instrumentation_enabled, suppress_instrumentation
from opentelemetry.trace import SpanKind, StatusCode
from unsampled_calls import SPAN_ID, TRACE_ID, Unsampled, described, with_conventions

from tracebaton_configurator.patching.registry import outcome
from tracebaton_configurator.propagation import clients_on_import, noted_clients
from tracebaton_configurator.sampling.late_spans import REASON, LateSpans

if TYPE_CHECKING:
    from collections.abc import Callable


# Where `make test` puts instrumentations that are not always released together with the rest.
sys.path.append(str(Path(sys.prefix, "other-instrumentations")))

PREFIX = "opentelemetry.instrumentation."
DATABASES = ("asyncpg", "botocore", "dbapi", "pymemcache", "pymongo", "sqlalchemy.engine", "tortoiseorm")


@pytest.fixture
def dbapi(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module, patched as in a process that is traced."""
    found = pytest.importorskip(f"{PREFIX}dbapi", reason="opentelemetry-instrumentation-dbapi is not installed")
    return patched(found, "leave_notes", monkeypatch)


def patched(module: Any, function: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(module, "is_instrumentation_enabled", module.is_instrumentation_enabled)
    assert getattr(noted_clients, function)(module)
    return module


def connected(dbapi: Any, provider: Any) -> Any:
    """A connection to a database in memory, with the table `t` and one row of it."""
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    connection.execute("INSERT INTO t VALUES (1)")
    return dbapi.instrument_connection(
        "opentelemetry.instrumentation.sqlite3", connection, "sqlite", {}, tracer_provider=provider
    )


def query(connection: Any, statement: str) -> None:
    with suppress(sqlite3.Error):
        connection.cursor().execute(statement)


class TestDatabases:
    @pytest.mark.parametrize("conventions", [None, "database", "database/dup"])
    @pytest.mark.parametrize("statement", ["SELECT id FROM t", "SELECT id FROM nowhere", "INSERT INTO t VALUES (1)"])
    def test_a_kept_query_is_described_as_a_sampled_one(
        self,
        conventions: str | None,
        statement: str,
        dbapi: Any,
        traced: Callable[..., Any],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        with_conventions(conventions, monkeypatch)
        process = traced("*=1")
        connection = connected(dbapi, process.provider)
        request = Unsampled(process.late_spans)
        query(connection, statement)
        with request.entered():
            query(connection, statement)
        request.end(failed=True)
        sampled, kept = process.spans()
        assert described(kept) == described(sampled)
        assert kept.attributes[REASON] == "error"
        assert kept.kind is SpanKind.CLIENT
        assert kept.parent.span_id == SPAN_ID
        assert kept.context.trace_id == TRACE_ID

    def test_a_request_that_ends_well_leaves_nothing(self, dbapi: Any, traced: Callable[..., Any]) -> None:
        process = traced("*=1")
        connection = connected(dbapi, process.provider)
        request = Unsampled(process.late_spans)
        with request.entered():
            query(connection, "SELECT id FROM t")
            assert process.late_spans.noted_requests == 1
        request.end(failed=False)
        gc.collect()
        assert process.late_spans.noted_requests == 0
        assert process.spans() == []

    def test_a_query_that_failed_has_its_request_kept(self, dbapi: Any, traced: Callable[..., Any]) -> None:
        process = traced("*=1")
        connection = connected(dbapi, process.provider)
        request = Unsampled(process.late_spans)
        with request.entered():
            query(connection, "SELECT id FROM nowhere")
        request.end(failed=False)
        (kept,) = process.spans()
        assert kept.status.status_code is StatusCode.ERROR

    @pytest.mark.parametrize("why", ["KEEP=span", "excluded", "suppressed", "ended"])
    def test_elsewhere_no_span_is_asked_for(self, why: str, dbapi: Any, traced: Callable[..., Any]) -> None:
        process = traced("*=1")
        connection = connected(dbapi, process.provider)
        asked: list[Any] = []
        tracer = connection._self_db_api_integration._tracer
        tracer.start_as_current_span = lambda *args, **kwargs: asked.append(args)
        late_spans = LateSpans(errors=True, slower_than=None, calls=why != "KEEP=span")
        request = Unsampled(late_spans, excluded=why == "excluded")
        request.decision.ended = why == "ended"
        with request.entered():
            if why == "suppressed":
                with suppress_instrumentation():
                    assert connection.cursor().execute("SELECT id FROM t").fetchall() == [(1,)]
            else:
                assert connection.cursor().execute("SELECT id FROM t").fetchall() == [(1,)]
        assert asked == []


class TestEachInstrumentation:
    @pytest.mark.parametrize("name", clients_on_import._INSTRUMENTATIONS)
    def test_each_asks_the_function_of_its_own_module(self, name: str) -> None:
        """Which is replaced there; under another name it would not be found."""
        module = imported(name)
        assert "is_instrumentation_enabled" in vars(module)
        assert getattr(noted_clients, clients_on_import._INSTRUMENTATIONS[name])

    @pytest.mark.parametrize("name", DATABASES)
    @pytest.mark.parametrize(("calls", "excluded"), [(True, False), (False, False), (True, True)])
    def test_databases_are_asked_where_notes_are_taken(
        self, name: str, monkeypatch: pytest.MonkeyPatch, *, calls: bool, excluded: bool
    ) -> None:
        module = patched(imported(name), clients_on_import._INSTRUMENTATIONS[name], monkeypatch)
        request = Unsampled(LateSpans(errors=True, slower_than=None, calls=calls), excluded=excluded)
        assert module.is_instrumentation_enabled()
        with request.entered():
            assert not is_instrumentation_enabled()
            assert module.is_instrumentation_enabled() is (calls and not excluded)

    def test_without_the_function_the_module_stays_as_it_is(self) -> None:
        module = ModuleType("of_another_release")
        before = dict(vars(module))
        assert not noted_clients.leave_notes(module)
        assert vars(module) == before

    def test_they_are_patched_when_they_are_imported(self, monkeypatch: pytest.MonkeyPatch) -> None:
        name = f"{PREFIX}dbapi"
        module = pytest.importorskip(name, reason="opentelemetry-instrumentation-dbapi is not installed")
        original = module.is_instrumentation_enabled
        monkeypatch.setattr(module, "is_instrumentation_enabled", original)
        clients_on_import.note_calls()
        assert module.is_instrumentation_enabled is not original
        assert outcome("noted-clients").status == "applied"


def test_mongo_lets_go_of_a_command_that_outlasts_its_request(
    traced: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its instrumentation asks whether it is suppressed when a command has ended, too."""
    pymongo = patched(imported("pymongo"), "leave_notes_by_events", monkeypatch)
    process = traced("*=1")
    tracer = pymongo.CommandTracer(process.provider.get_tracer("pymongo"))
    event = SimpleNamespace(
        command_name="find", database_name="d", command={"find": "c"}, connection_id=("h", 1), request_id=1
    )
    request = Unsampled(process.late_spans)
    with request.entered():
        tracer.started(event)
        assert len(tracer._span_dict) == 1
        request.end(failed=True)
        tracer.succeeded(event)
    assert tracer._span_dict == {}
    (kept,) = process.spans()
    assert kept.name == "d.find"


@pytest.mark.parametrize("calls", [True, False])
def test_a_grpc_call_goes_on_in_the_trace(
    traced: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, *, calls: bool
) -> None:
    """With notes each call has a span id of its own, without them that of the request."""
    client = patched(imported("grpc._client"), "hand_on", monkeypatch)
    grpc = import_module("grpc")
    process = traced("*=1")
    late_spans = LateSpans(errors=True, slower_than=None, calls=calls)
    from concurrent.futures import ThreadPoolExecutor

    sent: list[Any] = []

    def answer(request: bytes, called: Any) -> bytes:
        sent.append(dict(called.invocation_metadata()))
        return request

    server = grpc.server(ThreadPoolExecutor(1))
    handlers = {"Echo": grpc.unary_unary_rpc_method_handler(answer)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("tests.Echo", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as plain:
            interceptor = client.OpenTelemetryClientInterceptor(process.provider.get_tracer("grpc"))
            intercepted = import_module(f"{PREFIX}grpc.grpcext").intercept_channel(plain, interceptor)
            request = Unsampled(late_spans)
            with request.entered():
                assert intercepted.unary_unary("/tests.Echo/Echo")(b"hello", timeout=10) == b"hello"
            request.end(failed=True)
    finally:
        server.stop(None).wait(10)
    trace_id, span_id, flags = sent[0]["traceparent"].split("-")[1:]
    assert (int(trace_id, 16), flags[-1]) == (TRACE_ID, "0")
    found = [span.context.span_id for span in process.spans()]
    assert found == ([int(span_id, 16)] if calls else [])
    assert (int(span_id, 16) == SPAN_ID) is not calls


def imported(name: str) -> Any:
    try:
        return import_module(PREFIX + name)
    except ImportError as error:
        pytest.skip(f"{PREFIX}{name} is not installed, or its library: {error}")
