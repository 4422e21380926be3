"""Starts programs within its requests, in every way that there is for it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys

from fastapi import FastAPI

app = FastAPI()


async def by_run(name: str, *words: str) -> bytes:
    return await asyncio.to_thread(subprocess.check_output, [sys.executable, "tool.py", name, *words])


async def by_env(name: str) -> bytes:
    env = {**os.environ, "OWN": "kept"}
    output = await asyncio.to_thread(subprocess.check_output, [sys.executable, "tool.py", name], env=env)
    assert env == {**os.environ, "OWN": "kept"}
    return output


async def by_own_parent(name: str) -> bytes:
    env = {**os.environ, "TRACEPARENT": f"00-{'a' * 32}-{'b' * 16}-01"}
    return await asyncio.to_thread(subprocess.check_output, [sys.executable, "tool.py", name], env=env)


async def by_exec(name: str) -> bytes:
    process = await asyncio.create_subprocess_exec(sys.executable, "tool.py", name, stdout=subprocess.PIPE)
    return (await process.communicate())[0]


async def by_shell(name: str) -> bytes:
    """The program's parent is no Python."""
    command = f"true && {sys.executable} tool.py {name}; true"
    process = await asyncio.create_subprocess_shell(command, stdout=subprocess.PIPE)
    return (await process.communicate())[0]


async def by_failing(name: str) -> bytes:
    process = await asyncio.create_subprocess_exec(sys.executable, "tool.py", name, "fail", stdout=subprocess.PIPE)
    return (await process.communicate())[0]


WAYS = {
    "run": by_run,
    "env": by_env,
    "own-parent": by_own_parent,
    "exec": by_exec,
    "shell": by_shell,
    "failing": by_failing,
}


@app.get("/sampled/{way}")
async def sampled(way: str) -> object:
    return await told(way)


@app.get("/unsampled/{way}")
async def unsampled(way: str) -> object:
    return await told(way)


async def told(way: str) -> object:
    before = dict(os.environ)
    output = await WAYS[way](f"by-{way}")
    assert dict(os.environ) == before
    return {"ids": os.environ.get("TRACEPARENT"), **json.loads(output)}
