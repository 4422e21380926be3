"""One run of `tracebaton view`: listen, print, end in order."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import sys
from contextlib import suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, TextIO

from tracebaton.view.intake import Intake

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from tracebaton.view.json_output import JsonSpans
    from tracebaton.view.kept_traces import KeptTraces
    from tracebaton.view.output import TreeOutput
    from tracebaton.view.receiver import Receiver
    from tracebaton.view.spans import Span

__all__ = ["run"]

_M_MMAP_THRESHOLD = -3  # malloc.h
_HTTP_PORT = 4318
_INSTALL_FOR_TREES = "trees of traces need pip install 'tracebaton[view]'; --json prints spans without it"
_INSTALL = "OTLP over HTTP needs pip install 'tracebaton[view]'"


async def run(args: argparse.Namespace) -> int:
    """Receive and print until SIGINT, SIGTERM or the reader of stdout is gone; return the exit status.

    0 for an end in order; with a sentence on stderr 1, when it cannot listen or cannot write, and 2, when it lacks a
    package for the port that is asked for.
    """
    _give_memory_back()
    intake = Intake()
    _stop_on_signal(intake.stop)
    # Under the handler already: importing protobuf takes long enough for a signal to arrive in between.
    if not args.json and find_spec("rich") is None:
        _say(f"tracebaton view: {_INSTALL_FOR_TREES}")
        return 2
    from tracebaton.view.json_output import JsonSpans
    from tracebaton.view.kept_traces import CannotKeepError
    from tracebaton.view.receiver import CannotListenError, Receiver
    from tracebaton.view.store import TraceStore

    is_opening = any(name != "-" for name in args.files)
    if is_opening and args.no_web:
        _say("tracebaton view: a FILE is shown on the page, which --no-web forbids")
        return 2
    kept = _kept(args)
    has_http = find_spec("uvicorn") is not None
    if args.http_port is not None and not has_http:
        _say(f"tracebaton view: --http-port: {_INSTALL}")
        return 2
    store = TraceStore(quiet_after=args.quiet_after, max_traces=args.max_traces)
    output: JsonSpans | TreeOutput
    if args.json:
        output = JsonSpans(sys.stdout)
    else:
        from tracebaton.view.output import TreeOutput

        output = TreeOutput(store, sys.stdout)
    receiver = Receiver(intake)
    try:
        http_port = (_HTTP_PORT if args.http_port is None else args.http_port) if has_http else None
        if not is_opening:
            await receiver.start(args.host, args.grpc_port, http_port)
        if kept is not None:
            await kept.open()
            intake.take_lines = kept.add_lines
    except CannotListenError as error:
        _say(f"tracebaton view: {error}")
        return 1
    except CannotKeepError as error:
        await _stopped(receiver, intake, kept)
        _say(f"tracebaton view: {error}")
        return error.status
    parts = [f"listening for OTLP on {' and '.join(receiver.urls)}"] if receiver.urls else []
    parts += [_INSTALL] if receiver.urls and not has_http else []
    parts += [f"page on {kept.url}"] if kept and kept.url else [kept.missing] if kept and kept.missing else []
    _say("; ".join([*parts, "Ctrl-C ends"]))
    _stop_when_reader_leaves(sys.stdout, intake.stop)
    try:
        await _print_until_stopped(receiver, intake, output, kept)
    except BrokenPipeError:
        _forget(sys.stdout)
    except OSError as error:
        _forget(sys.stdout)
        _say(f"tracebaton view: cannot write to stdout: {error.strerror or error}")
        return 1
    finally:
        await _stopped(receiver, intake, kept)
    if intake.rejected or intake.malformed:
        _say(f"dropped {intake.rejected} spans with invalid ids; refused {intake.malformed} malformed payloads")
    return 0


def _kept(args: argparse.Namespace) -> KeptTraces | None:
    """Nothing is kept where nobody could look at it."""
    if args.no_web and args.db is None:
        return None
    from tracebaton.view.kept_traces import KeptTraces

    return KeptTraces(args, lambda sentence: _say(f"tracebaton view: {sentence}"))


async def _stopped(receiver: Receiver, intake: Intake, kept: KeptTraces | None) -> None:
    intake.close()
    await receiver.stop(grace=0)
    if kept is not None:
        await kept.close()


async def _print_until_stopped(
    receiver: Receiver, intake: Intake, output: JsonSpans | TreeOutput, kept: KeptTraces | None
) -> None:
    def add(spans: list[Span]) -> None:
        if kept is not None and spans:
            kept.add(spans)
        output.add(spans)

    # In a thread, because whoever reads stdout may take long; those who export are told so meanwhile.
    while (spans := await intake.get(output.seconds_until_due())) is not None:
        await asyncio.to_thread(add, spans)
    await receiver.stop()
    intake.close()
    rest = intake.drain()
    if kept is not None:
        await asyncio.to_thread(kept.add, rest)
    await asyncio.to_thread(output.finish, rest)  # what was acknowledged gets printed


def _stop_on_signal(stop: Callable[[], None]) -> None:
    """End in order at the first SIGINT or SIGTERM; a second one ends at once, should stdout be stuck."""
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM)

    def first() -> None:
        for each in signals:
            loop.remove_signal_handler(each)
            signal.signal(each, signal.SIG_DFL)
        stop()

    for each in signals:
        loop.add_signal_handler(each, first)


def _stop_when_reader_leaves(stream: TextIO, stop: Callable[[], None]) -> None:
    """Where stdout is a pipe, notice its other end closing at once, and not at the next trace."""
    loop = asyncio.get_running_loop()

    def leave() -> None:
        loop.remove_reader(descriptor)
        stop()

    with suppress(OSError, ValueError):  # it is closed
        descriptor = stream.fileno()
        if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            loop.add_reader(descriptor, leave)  # nothing is ever read: an error is what makes it readable


def _forget(stream: TextIO) -> None:
    """Point a stdout that cannot be written at nothing, or the interpreter complains when it flushes at exit."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, stream.fileno())
    os.close(devnull)


def _give_memory_back() -> None:
    """Have glibc return large blocks to the system when they are freed, whichever thread freed them.

    It does so with blocks from 128 KiB on until the first larger one is freed; from then on it keeps those in the heap
    of each thread (mallopt(3), M_MMAP_THRESHOLD), which doubles what large payloads take.
    """
    with suppress(OSError, AttributeError, TypeError, ImportError):  # another C library; there it is as it is
        import ctypes

        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, 128 * 1024)


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)  # noqa: T201 -- the console is the interface
