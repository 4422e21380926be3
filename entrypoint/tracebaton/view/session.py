"""One run of `tracebaton view`: listen, print, end in order."""

from __future__ import annotations

import os
import select
import signal
import stat
import sys
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TextIO

from tracebaton.view.intake import STOP, Intake

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from tracebaton.view.output import Output
    from tracebaton.view.receiver import Receiver

__all__ = ["run"]

_M_MMAP_THRESHOLD = -3  # malloc.h
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run(*, host: str, grpc_port: int, http_port: int, quiet_after: float, max_traces: int, as_json: bool) -> int:
    """Receive and print until SIGINT, SIGTERM or the reader of stdout is gone; return the exit status.

    0 for an end in order; 1, with a sentence on stderr, when it cannot listen or cannot write.
    """
    _give_memory_back()
    intake = Intake()
    with _stop_on_signal(intake):
        # Under the handler already: importing gRPC takes long enough for a signal to arrive in between.
        from tracebaton.view.output import JsonOutput, TreeOutput
        from tracebaton.view.receiver import CannotListenError, Receiver
        from tracebaton.view.store import TraceStore

        output: Output
        if as_json:
            output = JsonOutput(sys.stdout)
        else:
            output = TreeOutput(TraceStore(quiet_after=quiet_after, max_traces=max_traces), sys.stdout)
        try:
            receiver = Receiver(intake, host, grpc_port, http_port)
        except CannotListenError as error:
            _say(f"tracebaton view: {error}")
            return 1
        _say(f"listening for OTLP on {receiver.grpc_url} and {receiver.http_url}; Ctrl-C ends")
        _stop_when_reader_leaves(sys.stdout, intake)
        try:
            _print_until_stopped(receiver, intake, output)
        except BrokenPipeError:
            _forget(sys.stdout)
        except OSError as error:
            _forget(sys.stdout)
            _say(f"tracebaton view: cannot write to stdout: {error.strerror or error}")
            return 1
        finally:
            intake.close()
            receiver.stop(grace=0)
        if intake.rejected or intake.malformed:
            _say(f"dropped {intake.rejected} spans with invalid ids; refused {intake.malformed} malformed payloads")
    return 0


def _print_until_stopped(receiver: Receiver, intake: Intake, output: Output) -> None:
    while (spans := intake.get(output.seconds_until_due())) is not STOP:
        if spans:
            output.add(spans)
        output.print_due()
    receiver.stop()
    intake.close()
    output.add(intake.drain())  # what was acknowledged gets printed
    output.finish()


@contextmanager
def _stop_on_signal(intake: Intake) -> Iterator[None]:
    """End in order at the first SIGINT or SIGTERM; a second one ends at once, should stdout be stuck."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        intake.stop()

    wakeup_before = signal.set_wakeup_fd(intake.wakeup_fd, warn_on_full_buffer=False)
    before = {each: signal.signal(each, stop) for each in _SIGNALS}
    try:
        yield
    finally:
        signal.set_wakeup_fd(wakeup_before)
        for each, handler in before.items():
            signal.signal(each, handler)


def _stop_when_reader_leaves(stream: TextIO, intake: Intake) -> None:
    """Where stdout is a pipe, notice its other end closing at once, and not at the next trace."""
    try:
        descriptor = stream.fileno()
        if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            return
    except (OSError, ValueError):
        return

    def watch() -> None:
        poll = select.poll()
        poll.register(descriptor, 0)  # no event asked for: POLLERR comes unasked
        poll.poll()
        intake.stop()

    threading.Thread(target=watch, name="stdout-watch", daemon=True).start()


def _forget(stream: TextIO) -> None:
    """Point a stdout that cannot be written at nothing, or the interpreter complains when it flushes at exit."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, stream.fileno())
    os.close(devnull)


def _give_memory_back() -> None:
    """Have glibc return large blocks to the system when they are freed, whichever thread freed them.

    It does so with blocks from 128 KiB on until the first larger one is freed; from then on it keeps those in the heap
    of each thread (mallopt(3), M_MMAP_THRESHOLD), and of many connections that makes hundreds of megabytes.
    """
    with suppress(OSError, AttributeError, TypeError, ImportError):  # another C library; there it is as it is
        import ctypes

        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, 128 * 1024)


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)  # noqa: T201 -- the console is the interface
