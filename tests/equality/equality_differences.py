"""What may differ between a plain run and a traced one, each with its reason. Nothing else may.

Times, numbers of processes and ports differ between any two runs. What tracing may add is short on purpose: who adds a
line here changes what the project promises.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# How much CPU time a start may take. A bound for mistakes, such as a library that is imported for nothing: what a start
# really costs is counted in instructions (tests/duty), and no busy machine may make this fail.
CPU_FACTOR, CPU_SECONDS = 2.0, 1.0


@dataclass(frozen=True)
class Declared:
    """What matches `pattern` is read as `stands_for`."""

    pattern: re.Pattern[bytes]
    stands_for: bytes
    reason: str


def _declared(pattern: bytes, stands_for: bytes, reason: str) -> Declared:
    return Declared(re.compile(pattern), stands_for, reason)


# In answers and in all that is printed.
BETWEEN_ANY_TWO_RUNS = (
    _declared(rb"(?im)^date: .*?(\r?)$", rb"date: DATE\1", "the server's clock"),
    _declared(rb"(?<=127\.0\.0\.1:)\d+|(?<=localhost:)\d+", b"PORT", "the port of a client"),
    _declared(
        rb"(?i)(?<=\[)\d{2,7}(?=\])|(?<=pid: )\d+|(?<=pid:)\d+|(?<=Listening at: http://127.0.0.1:\{port\} \()\d+",
        b"PID",
        "the number of a process",
    ),
    _declared(
        rb"(?m)^.*ASGI transport error: .*\n", b"", "granian says so where it notices early that a client has left"
    ),
    _declared(
        rb"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d([.,]\d+)?( ?[+-]\d\d:?\d\d|Z)?"
        rb"|\d\d/\w{3}/\d{4}[: ]\d\d:\d\d:\d\d( [+-]\d{4})?",
        b"TIME",
        "the time of a log line",
    ),
    _declared(rb"(?<=tracker_fd=)\d+|(?<=pipe_handle=)\d+", b"N", "what is open is compared where it is open"),
    _declared(rb"0x[0-9a-f]{6,}", b"ADDRESS", "where an object happens to lie"),
)
# Between plain and traced.
TRACED_OUTPUT = (
    _declared(
        rb"(?m)^(INFO|WARNING|ERROR): tracebaton: .*\n",
        b"",
        "the lines of the logger `tracebaton`: one says what is on",
    ),
    _declared(rb'(?m)^\{[^\n]*"logger": "tracebaton"[^\n]*\n', b"", "the same as JSON"),
    _declared(
        rb'(?m)^(\{[^\n]*"logger": "sys\.excepthook",[^\n]* "message": )"Uncaught exception"',
        rb'\1""',
        "what Python writes of the exception that ends the process is a line of JSON too, and has to have a message",
    ),
    _declared(
        rb'(?m)^(?P<margin>[ |+]*)File "[^"\n]*/starlette/middleware/errors\.py"[^\n]*\n((?P=margin)  [^\n]*\n)*'
        rb'(?=(?P=margin)File "[^"\n]*/opentelemetry/instrumentation/asgi/)',
        b"",
        "the second ServerErrorMiddleware, which upstream's instrumentation of FastAPI puts around its own",
    ),
    _declared(
        rb'(?m)^(?P<margin>[ |+]*)File "[^"\n]*/(opentelemetry|tracebaton_configurator|wrapt)/[^\n]*\n'
        rb"((?P=margin)  [^\n]*\n)*",
        b"",
        "frames of the middleware that a request passes, in tracebacks of what it raised",
    ),
    _declared(
        rb"(?m)^env (OTEL_|_OTEL_TRACEBATON_|PYTHONPATH=)[^\n]*\n",
        b"",
        "variables that operators set, and those by which child processes are found: PYTHONPATH has our directory",
    ),
)
# What a formatter writes behind a message, which is no part of it: uvicorn's, in its access log, a status's phrase.
ADDED_TO_MESSAGES = re.compile(r'(?m)(HTTP/1\.1" \d{3}) [A-Z][A-Za-z \'-]*$')
# Fields that a line that is JSON already gains.
TRACED_FIELDS = ("trace_id", "span_id", "trace_flags", "service.name")
# What a process may have open beside its own, by kind, and how often. None where tracing is disabled.
TRACED_DESCRIPTORS = (
    (re.compile(r"unix @tracebaton-.*"), 1, "operators reach the process over it"),
    (re.compile(r"tcp connected to {receiver}"), 1, "the connection over which spans are delivered"),
    # Debian's of 2026, on the image of Python 3.14; `export/sigterm.py` imports ctypes, as many applications do.
    (re.compile(r".*/libffi\.so[0-9.]*"), 1, "libffi keeps its own file open once ctypes is imported"),
    (re.compile(r"pipe"), 2, "what a signal handler wakes the thread for delivery with"),
)
# A pool, of anyio or of a server, has as many as there was work for at the same moment: where plain has threads at all.
POOLED_THREADS = 2
# `tracebaton-export` delivers, `tracebaton-control` is there for operators. None where tracing is disabled.
TRACED_THREADS = 2
