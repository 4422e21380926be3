"""What the page and `tracebaton trace` ask, as the JSON objects that they are answered with.

Each thread has a connection of its own, so that a long answer holds up neither the writer nor another one.
"""

from __future__ import annotations

import json
import re
import threading
from typing import TYPE_CHECKING, Any

from tracebaton.store.comparison import compare
from tracebaton.store.documents import hash_of
from tracebaton.store.schema import open_for_reading
from tracebaton.store.services import services_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

__all__ = ["AskError", "StoreReader"]

_MOST_LISTED = 500
_MOST_HOPS = 20_000  # some tenth of a second
_FEWEST_DIGITS = 6
_SUMMARY = (
    "t.id, t.trace_id, t.start_ns, t.end_ns, t.service, t.name, t.kind, t.route, t.services, t.spans, t.errors, "
    "t.logs, t.ok, t.kept, t.root_rank, t.not_kept, EXISTS (SELECT 1 FROM missing WHERE trace = t.id)"
)


class AskError(Exception):
    """A question without an answer: `status` is 400 for a wrong parameter, 404 for a trace that is not there."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class StoreReader:
    """Raises AskError, StoreError, and sqlite3.Error for a file that is damaged."""

    def __init__(self, path: str) -> None:
        """Raises StoreError."""
        self._path = path
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._connection()

    def close(self) -> None:
        for connection in self._opened:
            connection.close()

    def traces(self, asked: Mapping[str, str]) -> dict[str, Any]:
        """One page of the list, newest first; `asked` are the parameters of `/api/traces`."""
        conditions, values = _conditions(asked)
        where = " AND ".join(conditions)
        limit = min(_MOST_LISTED, _number(asked, "limit") or 50)
        connection = self._connection()
        (total,) = connection.execute(f"SELECT count(*) FROM traces t WHERE {where}", values).fetchone()  # noqa: S608
        if before := asked.get("before", ""):
            found = re.fullmatch(r"([0-9]{1,19})-([0-9]{1,19})", before)
            if found is None:
                raise AskError(400, "before is no cursor of this list")
            where += " AND (t.start_ns, t.id) < (?, ?)"
            values += [_bounded(found[1]), _bounded(found[2])]
        rows = connection.execute(
            f"SELECT {_SUMMARY} FROM traces t WHERE {where} ORDER BY t.start_ns DESC, t.id DESC LIMIT ?",  # noqa: S608
            [*values, limit + 1],
        ).fetchall()
        more = len(rows) > limit
        rows = rows[:limit]
        cursor = f"{rows[-1][2]}-{rows[-1][0]}" if more else None
        return {"traces": [_summary(row) for row in rows], "next": cursor, "total": total}

    def summary(self, trace_id: str) -> dict[str, Any]:
        return _summary(self._row(trace_id))

    def trace_json(self, trace_id: str) -> str:
        """The answer of `/api/trace/<id>`, put together of what is stored as it is."""
        row = self._row(trace_id)
        execute = self._connection().execute
        spans = ",".join(
            data for (data,) in execute("SELECT data FROM spans WHERE trace = ? ORDER BY start_ns, id", (row[0],))
        )
        logs = ",".join(
            data for (data,) in execute("SELECT data FROM logs WHERE trace = ? ORDER BY time_ns, id", (row[0],))
        )
        return f'{{"trace_id":"{row[1]}","spans":[{spans}],"logs":[{logs}],"not_kept":{row[15]}}}'

    def trace(self, trace_id: str) -> dict[str, Any]:
        return dict(json.loads(self.trace_json(trace_id)))

    def compare(self, trace_id: str, other_id: str = "") -> dict[str, Any]:
        """With the last good trace of the same endpoint before it, else the first one after it; or with another one."""
        this = self._row(trace_id)
        other = self._row(other_id) if other_id else self._last_good(this)
        rows = compare(self._spans(this), self._spans(other) if other else [])
        return {"this": _summary(this), "other": _summary(other) if other else None, "rows": rows if other else []}

    def services(self, since_us: int = 0) -> dict[str, Any]:
        """Of the newest 20,000 spans that cross processes."""
        hops = self._connection().execute(
            "SELECT trace, span_id, parent, kind, service, route, peer, peer_kind, start_us, duration_us, error "
            "FROM hops ORDER BY trace DESC LIMIT ?",
            (_MOST_HOPS,),
        )
        return services_of([hop for hop in hops if hop[8] >= since_us])

    def rate(self, buckets: int = 60) -> dict[str, Any]:
        """Traces by when they began, from the first one stored to the last, of the last day at most."""
        buckets = max(1, min(buckets, 1000))
        execute = self._connection().execute
        first, last = execute("SELECT min(start_ns), max(start_ns) FROM traces WHERE spans > 0").fetchone()
        traces, errors = [0] * buckets, [0] * buckets
        if last is None:
            return {"from_us": 0, "bucket_us": 1_000_000, "traces": traces, "errors": errors}
        first = max(first, last - 86400 * 10**9)
        width = max(10**9, -(-(last - first + 1) // buckets))
        query = (
            "SELECT (start_ns - ?1) / ?2, count(*), sum(errors > 0) FROM traces "
            "WHERE spans > 0 AND start_ns >= ?1 GROUP BY 1"
        )
        for bucket, count, failed in execute(query, (first, width)):
            if bucket < buckets:
                traces[bucket], errors[bucket] = count, failed
        return {"from_us": first // 1000, "bucket_us": width // 1000, "traces": traces, "errors": errors}

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = open_for_reading(self._path)
            self._opened.append(connection)
        return connection

    def _row(self, trace_id: str) -> tuple[Any, ...]:
        digits = trace_id.strip().replace("-", "").lower()
        if not re.fullmatch(rf"[0-9a-f]{{{_FEWEST_DIGITS},32}}", digits):
            raise AskError(
                404, f"{trace_id!r:.80} is no trace id: 32 hexadecimal digits, or the first six or more of them"
            )
        rows = self._connection().execute(
            f"SELECT {_SUMMARY} FROM traces t WHERE t.trace_id >= ? AND t.trace_id < ? LIMIT 2",  # noqa: S608
            (digits, digits + "g"),
        )
        found = rows.fetchall()
        if not found:
            raise AskError(404, f"there is no trace {digits} here; the oldest ones go when room is needed")
        if len(found) > 1:
            raise AskError(404, f"several traces begin with {digits}; give more digits")
        row: tuple[Any, ...] = found[0]
        return row

    def _last_good(self, this: tuple[Any, ...]) -> tuple[Any, ...] | None:
        same = "t.service = ? AND t.name = ? AND t.spans > 0 AND t.errors = 0 AND t.id != ?"
        key = (this[4], this[5], this[0], this[2])
        for more in ("t.start_ns <= ? ORDER BY t.start_ns DESC", "t.start_ns > ? ORDER BY t.start_ns"):
            query = f"SELECT {_SUMMARY} FROM traces t WHERE {same} AND {more} LIMIT 1"  # noqa: S608
            row: tuple[Any, ...] | None = self._connection().execute(query, key).fetchone()
            if row is not None:
                return row
        return None

    def _spans(self, row: tuple[Any, ...]) -> list[dict[str, Any]]:
        found = self._connection().execute("SELECT data FROM spans WHERE trace = ? ORDER BY start_ns, id", (row[0],))
        return [json.loads(data) for (data,) in found]


def _summary(row: tuple[Any, ...]) -> dict[str, Any]:
    (_, trace_id, start_ns, end_ns, service, name, kind, route, services) = row[:9]
    (spans, errors, logs, ok, kept, root_rank, _, missing) = row[9:]
    partial = bool(missing or root_rank)
    return {
        "trace_id": trace_id,
        "start_us": start_ns // 1000 if spans else 0,
        "duration_us": max(0, end_ns - start_ns) // 1000 if spans else 0,
        "root": {"service": service, "name": name, "kind": kind, "route": route},
        "services": json.loads(services),
        "spans": spans,
        "errors": errors,
        "logs": logs,
        "status": "ERROR" if errors else "OK" if ok else "UNSET",
        "kept": kept,
        "partial": partial,
        # With its root, which ends last, and all parents, a trace is taken to be whole.
        "complete": not partial,
    }


def _conditions(asked: Mapping[str, str]) -> tuple[list[str], list[Any]]:
    conditions, values = ["t.spans > 0"], []  # type: tuple[list[str], list[Any]]

    def add(condition: str, *more: Any) -> None:
        conditions.append(condition)
        values.extend(more)

    if service := asked.get("service"):
        add("instr(t.services, ?)", json.dumps(service))
    if route := asked.get("route"):
        add("(t.route = ? OR t.name = ?)", route, route)
    if status := asked.get("status"):
        if status not in {"error", "ok"}:
            raise AskError(400, f"status {status!r:.80} is not error or ok")
        add("t.errors > 0" if status == "error" else "t.errors = 0")
    if asked.get("kept") in {"1", "true"}:
        add("t.kept IS NOT NULL")
    if (least := _number(asked, "min_us")) is not None:
        add("t.end_ns - t.start_ns >= ?", _bounded(least * 1000))
    if (most := _number(asked, "max_us")) is not None:
        add("t.end_ns - t.start_ns <= ?", _bounded(most * 1000))
    if text := asked.get("text"):
        shown = text.lower().encode("utf-8", "replace").decode()
        add("EXISTS (SELECT 1 FROM texts WHERE trace = t.id AND instr(text, ?))", shown)
    if attribute := asked.get("attr"):
        add("t.id IN (SELECT trace FROM attributes WHERE hash = ?)", hash_of(attribute))
    return conditions, values


def _number(asked: Mapping[str, str], name: str) -> int | None:
    text = asked.get(name, "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise AskError(400, f"{name} {text!r:.80} is no whole number")
    return int(text)


def _bounded(number: int | str) -> int:
    return min(int(number), 2**63 - 1)
