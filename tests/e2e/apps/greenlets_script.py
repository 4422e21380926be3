"""`MODEL MOMENT`: patches everything by gevent or eventlet at that moment, and makes spans before and after.

Prints as JSON the number of spans that were made.
"""

from __future__ import annotations

import json
import os
import sys
import time

MODEL, MOMENT = sys.argv[1:3]


def patch() -> None:
    if MODEL == "gevent":
        from gevent import monkey

        monkey.patch_all()
    elif MODEL == "eventlet":
        import eventlet

        eventlet.monkey_patch()


if MOMENT == "first":
    patch()

import threading  # noqa: E402

from opentelemetry import trace  # noqa: E402

tracer = trace.get_tracer("greenlets")


def work(count: int) -> None:
    for _ in range(count):
        with tracer.start_as_current_span("work"):
            time.sleep(0.001)


def in_threads(count: int) -> None:
    """Threads, and greenlets once those have taken their place."""
    threads = [threading.Thread(target=work, args=(count,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if MOMENT == "before any span":
    patch()
in_threads(25)
if MOMENT == "after an export":
    getattr(trace.get_tracer_provider(), "force_flush", int)()  # without tracing there is none
    patch()
elif MOMENT == "in the middle":
    patch()
in_threads(25)
if MODEL == "gevent":
    import gevent

    # Ends when no greenlet is left: one of ours would keep it for ever.
    assert gevent.wait(timeout=5)
if os.environ.get("FORK") and not (child := os.fork()):
    work(10)
    sys.exit(3)
elif os.environ.get("FORK"):
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
sys.stdout.write(json.dumps({"made": 200 + (10 if os.environ.get("FORK") else 0)}) + "\n")
