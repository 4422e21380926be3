"""A program that was started within a trace, long ago, and spawns another process of its own."""

from __future__ import annotations

import multiprocessing
import time
from logging import INFO, basicConfig, getLogger

import httpx  # noqa: F401 (it makes the process one that is traced)


def child() -> None:
    basicConfig(level=INFO)
    getLogger("spawning").info("child")


if __name__ == "__main__":
    time.sleep(0.01)  # longer than OTEL_TRACEBATON_DETACH_AFTER
    process = multiprocessing.get_context("spawn").Process(target=child)
    process.start()
    process.join()
