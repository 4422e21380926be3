"""`python launch_script.py ENDING`: makes 20 spans and ends in that way."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from typing import NoReturn

from opentelemetry import trace

ENDING = sys.argv[1]


def work() -> None:
    tracer = trace.get_tracer("launch")
    for number in range(20):
        tracer.start_span(f"span {number}").end()


async def exit_in_a_loop() -> None:
    sys.exit(4)


def own_handler(*_: object) -> NoReturn:
    print("the application's own handler", flush=True)  # noqa: T201 (the test looks for it)
    sys.exit(7)


if ENDING == "own handler":
    signal.signal(signal.SIGTERM, own_handler)
work()
match ENDING:
    case "returns":
        pass
    case "raises":
        raise RuntimeError("as the test wants it")
    case "sys.exit":
        sys.exit("a message")
    case "sys.exit in a thread":
        thread = threading.Thread(target=sys.exit, args=(5,))
        thread.start()
        thread.join()
    case "sys.exit in asyncio.run":
        asyncio.run(exit_in_a_loop())
    case "os._exit":
        os._exit(6)
    case "os._exit in a thread":
        threading.Thread(target=os._exit, args=(6,)).start()
        signal.pause()
    case "SIGTERM" | "own handler" | "SIGINT":
        print("ready", flush=True)  # noqa: T201 (the test waits for it)
        # No single wait: a signal that comes on the way into one is seen after it (see export/sigterm.py).
        while True:
            time.sleep(0.1)
    case "SIGTERM in asyncio.run":
        print("ready", flush=True)  # noqa: T201 (the test waits for it)
        asyncio.run(asyncio.sleep(60))
