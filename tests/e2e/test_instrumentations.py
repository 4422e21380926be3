"""What the official instrumentations trace, beyond what the demo's agents use: sync clients, and pipelines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness import TRACED
from processes import wait_for
from spans import wait_for_spans

if TYPE_CHECKING:
    from harness import System

SCRIPT = """
import asyncio, sys
import httpx, redis, redis.asyncio

url, web = sys.argv[1:]

def work():
    with redis.Redis.from_url(url) as store, httpx.Client() as client:
        store.set("a", 1)
        with store.pipeline() as pipeline:
            pipeline.get("a")
            pipeline.incr("a")
            pipeline.execute()
        client.get(web)

async def work_async():
    async with redis.asyncio.from_url(url) as store, httpx.AsyncClient() as client:
        async with store.pipeline() as pipeline:
            await pipeline.get("a").incr("a").execute()
        await client.get(web)

work()
asyncio.run(work_async())
"""


def test_sync_async_and_pipelines(system: System) -> None:
    redis_url = system.start_redis()
    environ = {
        "OTEL_TRACES_SAMPLER": "parentbased_always_on",
        "OTEL_EXPORTER_OTLP_ENDPOINT": system.grpc_endpoint,
        "OTEL_SERVICE_NAME": "script",
    }
    web = f"{system.http_endpoint}/v1/traces"
    script = system.start("script", [*TRACED, "python", "-c", SCRIPT, redis_url, web], env=environ)
    wait_for(lambda: script.returncode is not None, 20)
    assert script.returncode == 0, script.output()
    spans = wait_for_spans(system, lambda spans: len(spans) >= 5)
    redis = [span for span in spans if span.attributes.get("db.system") == "redis"]
    # redis-py counts what a pipeline sends as one; its commands are in the span's name.
    assert [span.name for span in redis if "GET" in span.name] == ["GET INCRBY", "GET INCRBY"]
    assert sum(span.name == "SET" for span in redis) == 1
    assert len([span for span in spans if span.kind == "CLIENT" and "http.url" in span.attributes]) == 2


SCRIPTS = """
import asyncio, sys
import redis, redis.asyncio

def caught(error):
    assert isinstance(error, redis.exceptions.NoScriptError), error

def work(url):
    with redis.Redis.from_url(url) as store:
        assert store.register_script("return 1")() == 1
        with store.lock("one"):
            pass
        try:
            store.evalsha("f" * 40, 0)
        except Exception as error:
            caught(error)
        try:
            store.eval("return redis.error_reply('on purpose')", 0)
        except redis.ResponseError as error:
            assert "on purpose" in str(error)

async def work_async(url):
    async with redis.asyncio.from_url(url) as store:
        assert await store.register_script("return 2")() == 2
        async with store.lock("two"):
            pass
        try:
            await store.evalsha("f" * 40, 0)
        except Exception as error:
            caught(error)

work(sys.argv[1])
asyncio.run(work_async(sys.argv[1]))
"""


def test_a_script_that_redis_has_not_seen_is_no_error(system: System) -> None:
    redis_url = system.start_redis()
    environ = {
        "OTEL_TRACES_SAMPLER": "parentbased_always_on",
        "OTEL_EXPORTER_OTLP_ENDPOINT": system.grpc_endpoint,
        "OTEL_SERVICE_NAME": "script",
    }
    script = system.start("script", [*TRACED, "python", "-c", SCRIPTS, redis_url], env=environ)
    wait_for(lambda: script.returncode is not None, 20)
    assert script.returncode == 0, script.output()
    spans = wait_for_spans(system, lambda spans: sum(span.name == "EVALSHA" for span in spans) >= 9)
    by_hash = [span for span in spans if span.name == "EVALSHA"]
    assert len(by_hash) == 9  # once more each time that Redis had not seen the script
    assert {span.status for span in by_hash} == {"UNSET"}
    assert [event for span in by_hash for event in span.events] == []
    assert [span.status for span in spans if span.name == "EVAL"] == ["ERROR"]
