"""What Python itself writes to stderr is one line of JSON, with the ids of the work that it is about.

That is an exception that ends the process or a thread, one that nobody can catch (raised by a `__del__`), a warning.
Only what Python's own hooks would write, and only to the process's stderr: a hook of the application's is called as
without this, and its text stays. Where anything goes wrong here, and for Ctrl-C, Python writes its text.

Checked with CPython 3.10 to 3.14 (Lib/threading.py, Lib/warnings.py, Lib/code.py, Python/pythonrun.c, Python/errors.c).
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
import warnings
from contextlib import contextmanager, suppress
from functools import partial, update_wrapper
from io import StringIO
from time import time
from typing import TYPE_CHECKING, Any, NamedTuple

from tracebaton_configurator.logs import standard
from tracebaton_configurator.logs.captured import is_captured
from tracebaton_configurator.logs.ids import current_ids, remembered_ids
from tracebaton_configurator.logs.values import encodable
from tracebaton_configurator.logs.writing import passes_on
from tracebaton_configurator.patching import on_import, registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    from tracebaton_configurator.logs.formatter import JsonLines

# What Python's hooks show while they are written in C (Python/traceback.c, PyTraceBack_LIMIT).
_MOST_FRAMES = None if sys.version_info >= (3, 13) else 1000
_OF_CONSOLE = ("showtraceback", "showsyntaxerror")
# Who writes the text that Python would, in Python: `warnings`, and on 3.10 whose the groups of exceptions are.
_STAND_INS = frozenset(("warnings", "_py_warnings", "exceptiongroup._formatting"))
# The making of a record asks for the name of the thread, under a lock that this very thread may hold.
_EMPTY = logging.LogRecord("", 0, "", 0, "", None, None).__dict__


class _Report(NamedTuple):
    logger: str
    level: int
    message: str
    traceback: str = ""
    error: BaseException | None = None


class _Hook:
    """One of Python's hooks, in whose place `make` puts ours."""

    def __init__(self, name: str, owner: Any, attribute: str, make: Callable[[Any], Any]) -> None:
        self._name, self._owner, self._attribute, self._make = name, owner, attribute, make
        self._ours: Any = None
        self._original: Any = None

    def place(self) -> bool:
        original = getattr(self._owner, self._attribute, None)
        if not self._is_pythons(original):
            registry.withdraw(self._name, f"{self._owner.__name__}.{self._attribute} is not Python's own")
            return False
        self._original, self._ours = original, self._make(original)
        return registry.apply(self._name, lambda: setattr(self._owner, self._attribute, self._ours))

    def _is_pythons(self, hook: Any) -> bool:
        if hook is not None and hook is getattr(self._owner, f"__{self._attribute}__", None):
            return True
        return getattr(hook, "__globals__", {}).get("__name__") in _STAND_INS

    def take_back(self) -> None:
        self._exchange(self._ours, self._original)

    @contextmanager
    def out_of_the_way(self) -> Iterator[None]:
        """For those who do something else where the hook is not Python's own."""
        was_there = self._exchange(self._ours, self._original)
        try:
            yield
        finally:
            if was_there:
                self._exchange(self._original, self._ours)

    def _exchange(self, there: Any, other: Any) -> bool:
        """Unless somebody has replaced it since."""
        if there is None or getattr(self._owner, self._attribute, None) is not there:
            return False
        setattr(self._owner, self._attribute, other)
        return True


def install(json_lines: JsonLines) -> Callable[[], None]:
    """Replace the hooks that are Python's own. Returns what undoes it."""
    last = _Hook("excepthook", sys, "excepthook", partial(_reporting, json_lines, _of_process))
    others = [
        _Hook("thread-excepthook", threading, "excepthook", partial(_reporting, json_lines, _of_thread)),
        _Hook("unraisablehook", sys, "unraisablehook", partial(_reporting, json_lines, _of_nobody)),
        _Hook("warnings", warnings, "_showwarnmsg", partial(_showing_warnings, json_lines)),
    ]
    undo: list[Callable[[], object]] = [hook.take_back for hook in others if hook.place()]
    if last.place():
        undo.append(last.take_back)
        on_import.after("code", lambda module: undo.extend(_leave_consoles_alone(module, last)))
        if sys.version_info < (3, 11):  # see `_STAND_INS`: it patches more, and only where the hook is Python's own
            on_import.before("exceptiongroup", last.take_back)
            on_import.after("exceptiongroup", lambda _: last.place() if undo else None)

    def uninstall() -> None:
        while undo:
            undo.pop()()

    return uninstall


def _reporting(
    json_lines: JsonLines, report_of: Callable[..., _Report | None], original: Callable[..., object]
) -> Callable[..., None]:
    # While the interpreter ends, this module has lost its names.
    is_ending, is_reported = sys.is_finalizing, partial(_is_reported, json_lines, report_of)

    def hook(*args: Any) -> None:
        if is_ending() or not is_reported(args):
            original(*args)

    return update_wrapper(hook, original)


def _is_reported(json_lines: JsonLines, report_of: Callable[..., _Report | None], args: Any) -> bool:
    try:
        stream = sys.stderr
        report = report_of(*args) if _is_log(stream) else None
        if report is None:
            return False
        stream.write(_line(json_lines, stream, report))
    except Exception:  # noqa: BLE001 (then it is Python that writes)
        return False
    with suppress(Exception):
        stream.flush()
    return True


def _showing_warnings(json_lines: JsonLines, original: Callable[[Any], None]) -> Callable[[Any], None]:
    is_ending = sys.is_finalizing

    def show(msg: Any) -> None:
        if is_ending() or not _goes_to_log(msg):
            original(msg)
            return
        # The text is made by whom it would be made; a list that records warnings gets this one without a text.
        msg.file = made = StringIO()
        try:
            original(msg)
        finally:
            msg.file = None
        text = made.getvalue()
        if not text:
            return
        stream = sys.stderr
        with suppress(Exception):
            text = _line(json_lines, stream, _Report("py.warnings", logging.WARNING, text.rstrip("\n")))
        with suppress(OSError):  # as Python does
            stream.write(text)

    return update_wrapper(show, original)


def _goes_to_log(msg: Any) -> bool:
    try:
        is_pythons = warnings.showwarning is warnings._showwarning_orig  # type: ignore[attr-defined]  # noqa: SLF001
        return is_pythons and msg.file is None and _is_log(sys.stderr)
    except Exception:  # noqa: BLE001 (an odd object, an odd stream)
        return False


def _is_log(stream: Any) -> bool:
    return standard.is_standard(stream) and not is_captured(stream) and passes_on(stream)


def _line(json_lines: JsonLines, stream: Any, report: _Report) -> str:
    record = object.__new__(logging.LogRecord)
    record.__dict__.update(
        _EMPTY,
        name=report.logger,
        levelno=report.level,
        levelname=logging.getLevelName(report.level),
        created=time(),
        msg=report.message,
        exc_text=report.traceback or None,
    )
    ids = current_ids() or remembered_ids(report.error)
    if ids is not None:
        record.__dict__.update(ids._asdict())
    return f"{encodable(json_lines.format(record), stream)}\n"


def _of_process(_: Any, error: Any, tb: Any) -> _Report | None:
    # Who has interrupted it by hand, or types at a prompt, is there to read it.
    if isinstance(error, KeyboardInterrupt) or hasattr(sys, "ps1"):
        return None
    text = _traceback_of(error, error.__traceback__ or tb)
    return _Report("sys.excepthook", logging.CRITICAL, "Uncaught exception", text, error)


def _of_thread(args: Any) -> _Report | None:
    if args.exc_type is SystemExit:
        return None
    name = threading.get_ident() if args.thread is None else args.thread.name
    error = args.exc_value
    text = _traceback_of(error, error.__traceback__ or args.exc_traceback)
    return _Report("threading.excepthook", logging.ERROR, f"Exception in thread {name}:", text, error)


def _of_nobody(args: Any) -> _Report:
    """Such an exception is shown without those that led to it."""
    message = args.err_msg or "Exception ignored in"
    message = f"{message}:" if args.object is None else f"{message}: {args.object!r}"
    text = _traceback_of(args.exc_value, args.exc_traceback, chain=False)
    return _Report("sys.unraisablehook", logging.ERROR, message, text, args.exc_value)


def _traceback_of(error: BaseException, tb: Any, *, chain: bool = True) -> str:
    """As Python's hooks write it; raises for what is no exception. A limit of theirs leaves the last frames."""
    limit = getattr(sys, "tracebacklimit", None)
    limit = limit if isinstance(limit, int) else _MOST_FRAMES
    if limit is not None:
        limit = -limit if limit > 0 else 0
    return "".join(traceback.format_exception(type(error), error, tb, limit=limit, chain=chain)).rstrip("\n")


def _leave_consoles_alone(code: ModuleType, hook: _Hook) -> Iterator[Callable[[], object]]:
    """A console writes with its own `write` unless `sys.excepthook` has been replaced. Yields what undoes it."""
    console: Any = getattr(code, "InteractiveInterpreter", None)
    for name in _OF_CONSOLE if console is not None else ():
        original = getattr(console, name)
        setattr(console, name, _without(hook, original))
        yield partial(setattr, console, name, original)


def _without(hook: _Hook, original: Callable[..., object]) -> Callable[..., object]:
    def show(*args: Any, **kwargs: Any) -> object:
        with hook.out_of_the_way():
            return original(*args, **kwargs)

    return update_wrapper(show, original)
