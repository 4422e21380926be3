"""What is said of a trace: what failed first, the path to it, its lines, and what differs from a good one."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from tracebaton_configurator.logs.printable import escaped_text

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["report", "report_lines"]

_MOST_LINES = 59
_MOST_PATH = 12
_MOST_LOGS = 16
_MOST_EXCEPTION = 6
_MOST_DIFFERENCES = 14
_WIDTH = 200
_ERRORS = frozenset(("ERROR", "ERR", "CRITICAL", "FATAL", "EXCEPTION"))


def report(summary: dict[str, Any], trace: dict[str, Any], compared: dict[str, Any] | None) -> dict[str, Any]:
    """As `--json` prints it.

    What failed first is the failed span without a failed one below it, and of several the one that ended first, as in
    model.js of the page. Ends alone would not do: clocks of services differ.
    """
    spans = trace["spans"]
    by_id: dict[str, dict[str, Any]] = {}
    for span in spans:
        by_id.setdefault(span["span_id"], span)
    failed = [span for span in spans if span["status"] == "ERROR"]
    above = {span["parent_span_id"] for span in failed}
    innermost = [span for span in failed if span["span_id"] not in above] or failed
    first = min(innermost, key=lambda span: span["start_us"] + span["duration_us"], default=None)
    path = _path(first, by_id) if first else []
    on_path = {span["span_id"] for span in path}
    logs = [line for line in trace["logs"] if _matters(line, on_path, has_failed=first is not None)]
    return {
        "trace": summary,
        "failed_first": first and {**first, "error": _error(first)},
        "path": path,
        "logs": logs,
        "other": compared["other"] if compared else None,
        "differences": [row for row in compared["rows"] if row["state"] != "same"] if compared else [],
    }


def report_lines(found: dict[str, Any], *, all_differences: bool) -> list[str]:
    """Under 60 of them, whatever the trace; what spans bring along is escaped and cut."""
    lines = list(_lines(found, all_differences=all_differences))
    if len(lines) > _MOST_LINES:
        lines[_MOST_LINES - 1 :] = [f"... ({len(lines) - _MOST_LINES + 1} more lines; --json has all)"]
    return lines


def _lines(found: dict[str, Any], *, all_differences: bool) -> Iterator[str]:
    summary = found["trace"]
    errors = f", {_count(summary['errors'], 'error')}" if summary["errors"] else ""
    yield _shown(
        f"trace {summary['trace_id']}  {summary['root']['service']}  {summary['root']['name']}  "
        f"{_ms(summary['duration_us'])}  {_count(summary['spans'], 'span')}, "
        f"{_count(len(summary['services']), 'service')}{errors}"
    )
    yield f"began {_moment(summary['start_us'])}" + ("; parts of it are missing" if summary["partial"] else "")
    first = found["failed_first"]
    if first:
        yield ""
        yield _shown(f"failed first: {_called(first)}  {_ms(first['duration_us'])}  {first['error']}")
        yield "path to it:"
        path = found["path"]
        if len(path) > _MOST_PATH:
            path = [*path[:4], None, *path[-(_MOST_PATH - 5) :]]
        for depth, span in enumerate(path):
            shown = f"{_called(span)}  {_ms(span['duration_us'])}  {_status(span)}" if span else "..."
            yield _shown("  " * (depth + 1) + shown.rstrip())
    else:
        yield "nothing in it failed"
    yield from _log_lines(found)
    yield from _difference_lines(found, _MOST_LINES if all_differences else _MOST_DIFFERENCES)


def _log_lines(found: dict[str, Any]) -> Iterator[str]:
    logs = found["logs"]
    if not logs:
        return
    yield ""
    yield f"its log lines ({len(logs)}):" if len(logs) <= _MOST_LOGS else f"the last {_MOST_LOGS} of {len(logs)} lines:"
    start = found["trace"]["start_us"]
    for position, line in enumerate(shown := logs[-_MOST_LOGS:]):
        offset = (line["time_us"] - start) / 1000
        yield _shown(f"  {offset:+.1f} ms  {line['service']}  {line['level']}  {line['message']}")
        if line["exception"] and all(not later["exception"] for later in shown[position + 1 :]):
            frames = [each for each in line["exception"].splitlines() if each.strip()]
            yield from (_shown(f"      {each}") for each in frames[-_MOST_EXCEPTION:])


def _difference_lines(found: dict[str, Any], most: int) -> Iterator[str]:
    other, rows = found["other"], found["differences"]
    if other is None:
        return
    yield ""
    yield f"beside the last good one, {other['trace_id']} ({_ms(other['duration_us'])}, {_moment(other['start_us'])}):"
    if not rows:
        yield "  no difference worth telling"
    # First what is of another kind, then what only took longer.
    order = {"failed": 0, "new": 1, "gone": 1, "slower": 2, "faster": 3}
    rows = sorted(rows, key=lambda row: order.get(row["state"], 4))
    for row in rows[:most]:
        times = " -> ".join("-" if us is None else _ms(us) for us in (row["other_us"], row["this_us"]))
        yield _shown(f"  {row['state']}: {' > '.join(row['path'][-3:])}  {times}")
    if len(rows) > most:
        yield f"  ... and {len(rows) - most} more; --compare has them"


def _path(span: dict[str, Any], by_id: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """From the root, or what is highest here; parents in a circle end."""
    path, seen = [], set()
    at: dict[str, Any] | None = span
    while at is not None and at["span_id"] not in seen:
        seen.add(at["span_id"])
        path.append(at)
        at = by_id.get(at["parent_span_id"])
    return path[::-1]


def _matters(line: dict[str, Any], on_path: set[str], *, has_failed: bool) -> bool:
    return not has_failed or line["span_id"] in on_path or line["level"] in _ERRORS or bool(line["exception"])


def _error(span: dict[str, Any]) -> str:
    if span["status_message"]:
        return str(span["status_message"])
    for event in reversed(span["events"]):
        found = event["attributes"]
        parts = (found.get("exception.type"), found.get("exception.message"))
        if event["name"] == "exception" and any(parts):
            return ": ".join(str(part) for part in parts if part)
    found = span["attributes"]
    status = found.get("http.response.status_code", found.get("http.status_code"))
    return f"HTTP {status}" if status else str(found.get("error.type") or "")


def _called(span: dict[str, Any]) -> str:
    return f"{span['service']}  {span['kind']}  {span['target'] or span['name']}"


def _status(span: dict[str, Any]) -> str:
    return "" if span["status"] == "UNSET" else str(span["status"])


def _ms(us: int) -> str:
    return f"{us / 1000:.1f} ms"


def _moment(us: int) -> str:
    try:
        return datetime.fromtimestamp(us / 1e6, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return "at an impossible time"


def _shown(text: str) -> str:
    text = escaped_text(text[: 4 * _WIDTH])
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 3]}..."


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
