"""A job that talks to Redis, pipelines and failures included."""

# /// equality
# command = ["python", "redis_script.py"]
# spans = 3
# ///

import asyncio
import os
import uuid

import redis
import redis.asyncio

# Several of these run at the same time.
KEY = f"equality:{uuid.uuid4()}"
client = redis.Redis.from_url(os.environ["REDIS_URL"])
print(client.set(KEY, "1"), client.incrby(KEY, 4), client.get(KEY))
with client.pipeline() as pipeline:
    print(pipeline.set(KEY, "x").append(KEY, "y").get(KEY).execute())
try:
    client.lpush(KEY, "not a list")
except redis.ResponseError as error:
    print(type(error), error)


async def go() -> None:
    async with redis.asyncio.Redis.from_url(os.environ["REDIS_URL"]) as other:
        print(await other.get(KEY), await other.delete(KEY))


asyncio.run(go())
client.close()
