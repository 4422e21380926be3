"""What a log line costs with ids, beside python-json-logger's own line without: CPU time, in one process.

    .venv/bin/python bench/logs.py [--rounds N] [--lines N]

Both sides write a record to a file handle on /dev/null through `Logger.info`. The one is unpatched `logging` with
python-json-logger's JsonFormatter and the same four fields `timestamp`, `level`, `logger`, `message`; the other is a
plain text formatter under this project's hook, inside a request, which adds `service.name` and three ids. Sides take
turns of a few milliseconds; shown is the median over the rounds of the ratio within one round.
"""

from __future__ import annotations

import argparse
import gc
import logging
import os
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from time import thread_time_ns
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "configurator"))

from opentelemetry import context as context_api
from opentelemetry import trace
from pythonjsonlogger.json import JsonFormatter

from tracebaton_configurator.logs import hook, standard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Lines = Callable[[logging.Logger, int], None]

TARGET = 1.15  # of python-json-logger's own line: the median of every variant
SPAN_CONTEXT = trace.SpanContext(
    0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331, is_remote=False, trace_flags=trace.TraceFlags(1)
)


def no_arguments(logger: logging.Logger, lines: int) -> None:
    for _ in range(lines):
        logger.info("the order has been taken")


def arguments(logger: logging.Logger, lines: int) -> None:
    for number in range(lines):
        logger.info("order %d of %s has been taken", number, "somebody")


def extras(logger: logging.Logger, lines: int) -> None:
    for number in range(lines):
        logger.info("order taken", extra={"order": number, "customer": "somebody", "total": 12.5, "paid": True})


def nested_extras(logger: logging.Logger, lines: int) -> None:
    for number in range(lines):
        logger.info("order taken", extra={"order": {"number": number, "items": ["a", "b"]}})


def exceptions(logger: logging.Logger, lines: int) -> None:
    for _ in range(lines):
        try:
            raise ValueError("no such order")
        except ValueError:  # noqa: PERF203 (this is what is measured)
            logger.exception("the order failed")


def new_requests(logger: logging.Logger, lines: int) -> None:
    """One line for each request, whose ids have not been seen before."""
    for number in range(lines):
        context = trace.SpanContext(
            SPAN_CONTEXT.trace_id + number, SPAN_CONTEXT.span_id, is_remote=False, trace_flags=trace.TraceFlags(1)
        )
        token = context_api.attach(trace.set_span_in_context(trace.NonRecordingSpan(context)))
        logger.info("order %d of %s has been taken", number, "somebody")
        context_api.detach(token)


def suppressed(logger: logging.Logger, lines: int) -> None:
    for _ in range(lines):
        logger.debug("not printed: %s", "x")


VARIANTS: dict[str, Lines] = {
    "no arguments": no_arguments,
    "arguments": arguments,
    "extras": extras,
    "nested extras": nested_extras,
    "exception": exceptions,
    "first line of each request": new_requests,
}


def main() -> int:
    """Print the tables; the status is 1 where a target is missed."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=101)
    options.add_argument("--lines", type=int, default=300, help="in each turn")
    chosen = options.parse_args()
    missed = False
    with ExitStack() as stack:
        null = stack.enter_context(Path(os.devnull).open("w", encoding="utf-8"))
        found = os.fstat(null.fileno())
        standard.begun[1] = f"{found.st_dev}:{found.st_ino}"  # it stands for stdout
        stack.enter_context(trace.use_span(trace.NonRecordingSpan(SPAN_CONTEXT)))
        text = logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s")

        def compare(lines: Lines, mode: str, theirs: Any, ours: Any) -> tuple[float, float, float]:
            sides = (logger_to(null, theirs), "off"), (logger_to(null, ours), mode)
            return measure(lines, sides, chosen.rounds, chosen.lines)

        print(f"{'mode json, a text formatter':40}{'json-logger':>14}{'with ids':>14}{'ratio':>8}")
        for name, lines in VARIANTS.items():
            own, ids, ratio = compare(lines, "json", own_line(), text)
            missed |= ratio > TARGET
            print(f"{name:40}{own:>11.2f} us{ids:>11.2f} us{ratio:>8.2f}{'  missed' if ratio > TARGET else ''}")
        print(f"\n{'the application writes JSON itself':40}{'without':>14}{'with ids':>14}{'ratio':>8}")
        for mode in ("json", "inject"):
            own, ids, ratio = compare(arguments, mode, own_line(), own_line())
            print(f"{'python-json-logger, mode ' + mode:40}{own:>11.2f} us{ids:>11.2f} us{ratio:>8.2f}")
        chosen.lines *= 20  # it takes that much less
        own, ids, ratio = compare(suppressed, "json", text, text)
        print(f"\n{'a suppressed log.debug':40}{own * 1000:>11.0f} ns{ids * 1000:>11.0f} ns{ratio:>8.2f}")
    print(f"\ntarget: at most {TARGET} in the first table: {'missed' if missed else 'met'}")
    return int(missed)


def own_line() -> logging.Formatter:
    """python-json-logger's line with the four fields."""
    return JsonFormatter(
        "%(levelname)s %(name)s %(message)s", timestamp=True, rename_fields={"levelname": "level", "name": "logger"}
    )


def logger_to(stream: Any, formatter: logging.Formatter) -> logging.Logger:
    logger = logging.Logger("shop.orders", logging.INFO)  # noqa: LOG001 (each side has its own)
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    logger.addHandler(handler)
    return logger


def measure(
    lines: Lines, sides: tuple[tuple[logging.Logger, str], ...], rounds: int, count: int
) -> tuple[float, float, float]:
    """Microseconds a line on each of the two sides, and the ratio: medians over the rounds."""
    readings: list[tuple[float, float]] = []
    for number in range(rounds + 1):
        taken = [0.0, 0.0]
        for side in (0, 1) if number % 2 else (1, 0):
            logger, mode = sides[side]
            with hooked(mode), no_collection():
                began = thread_time_ns()
                lines(logger, count)
                taken[side] = (thread_time_ns() - began) / count / 1000
        if number:  # the first one warms up
            readings.append((taken[0], taken[1]))
    return (
        median(one for one, _ in readings),
        median(other for _, other in readings),
        median(other / one for one, other in readings),
    )


@contextmanager
def hooked(mode: str) -> Iterator[None]:
    undo = hook.install(mode, "shop")
    try:
        yield
    finally:
        undo()


@contextmanager
def no_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


if __name__ == "__main__":
    sys.exit(main())
