"""Puts the ids of the moment on records of `logging`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from tracebaton_configurator.logs.ids import current_ids, ended_ids, is_placeholder, remembered_ids

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

# What is written in the task of the request once the application has returned. gunicorn's asgi worker goes on to the
# next request in the same task; granian says of an exception, which it turns into text, behind the access log.
# Checked with gunicorn 27 (gunicorn/asgi/protocol.py) and granian 2.8 (granian/asgi.py).
_WRITTEN_AFTERWARDS = {"gunicorn.access": True, "granian.access": False, "_granian.utils": False}


# How many frames there may be between a logger and its handler.
_DEEPEST = 50


def put_ids(record: logging.LogRecord) -> None:
    """Put the ids of the moment on it, where there are any; does not raise."""
    fields = record.__dict__
    try:
        ids = current_ids()
        if ids is None and record.exc_info:
            # A server logs the exception of a request when the request is over.
            ids = remembered_ids(record.exc_info[1])
        elif ids is None and record.name in _WRITTEN_AFTERWARDS:
            ids = ended_ids(once=_WRITTEN_AFTERWARDS[record.name])
    except Exception:  # noqa: BLE001 (an odd record, an odd exception: the line is printed all the same)
        return
    if ids is None:
        return
    if "span_id" not in fields and "trace_flags" not in fields:
        fields["trace_id"], fields["span_id"], fields["trace_flags"] = ids
        return
    fields["trace_id"] = ids.trace_id
    for name in ("span_id", "trace_flags"):
        told = fields.get(name)
        if told is None or is_placeholder(told):
            fields[name] = getattr(ids, name)


def put_ids_where_lacking(
    record: logging.LogRecord, handle: Callable[[logging.Logger, logging.LogRecord], None]
) -> None:
    """The same where a filter of the application's has put a placeholder in their place.

    Only below `handle`, which stands for `Logger.handle`: a record out of a queue has nothing to do with who takes it.
    """
    if is_placeholder(record.__dict__.get("trace_id", "absent")) and _is_being_logged(record, handle):
        put_ids(record)


def _is_being_logged(record: logging.LogRecord, handle: Callable[[logging.Logger, logging.LogRecord], None]) -> bool:
    frame = sys._getframe(2)  # noqa: SLF001
    for _ in range(_DEEPEST):
        if frame.f_code is handle.__code__:  # which `for_loguru` may have replaced
            logged = frame.f_locals["record"]
            return logged is record or logged.created == record.created  # since 3.12, a filter may have copied it
        if frame.f_back is None:
            break
        frame = frame.f_back
    return False
