"""One run of `tracebaton trace`."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

from tracebaton.trace.asking import CannotAskError, NotFoundError, from_file, from_viewer
from tracebaton.trace.report import report, report_lines
from tracebaton_configurator.logs.printable import escaped_text

if TYPE_CHECKING:
    import argparse

    from tracebaton.trace.asking import Traces

__all__ = ["run"]

_FOUND, _NOT_FOUND, _CANNOT = 0, 1, 2


def run(args: argparse.Namespace) -> int:
    """Print on stdout, or a sentence on stderr; return the exit status."""
    try:
        traces = from_viewer(args.web_port) if args.db is None else from_file(args.db)
        found = _report(traces, args)
    except NotFoundError as error:
        return _say(error, _NOT_FOUND)
    except CannotAskError as error:
        return _say(error, _CANNOT)
    text = json.dumps(found) if args.json else "\n".join(report_lines(found, all_differences=args.compare))
    encoding = sys.stdout.encoding or "utf-8"
    try:
        print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)  # noqa: T201
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return _FOUND


def _report(traces: Traces, args: argparse.Namespace) -> dict[str, Any]:
    trace_id = args.trace_id
    if trace_id is None:
        asked = {"limit": "1", **({"status": "error"} if args.last_error else {})}
        newest = traces.traces(asked)["traces"]
        if not newest:
            raise NotFoundError(f"there is no trace{' with an error' if args.last_error else ''} yet")
        trace_id = newest[0]["trace_id"]
    compared = traces.compare(trace_id)
    summary = compared["this"]
    wants_differences = args.compare or summary["errors"]
    return report(summary, traces.trace(summary["trace_id"]), compared if wants_differences else None)


def _say(error: Exception, status: int) -> int:
    print(f"tracebaton trace: {escaped_text(str(error))}", file=sys.stderr, flush=True)  # noqa: T201
    return status
