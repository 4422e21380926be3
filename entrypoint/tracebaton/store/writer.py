"""Writes spans and log lines, commits them within half a second, and keeps the file within its bound.

1. One connection writes, under a lock; whoever hands something over waits until it is written, which bounds memory.
2. What is written is committed half a second later at the latest: a process that is killed loses no more.
3. After each commit the oldest traces go until there is room; log lines of traces without a span go before them.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracebaton.store.documents import hash_of, log_document, searchable, span_document, to_json
from tracebaton.store.schema import StoreError, open_for_writing
from tracebaton.store.targets import peer, route

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tracebaton.store.lines import LogLine
    from tracebaton.view.spans import Span

__all__ = ["Event", "StoreWriter"]

Event = tuple[str, str]
"""Kind and JSON of what has been committed: `span`, `log`; for `trace` the id, whose summary has changed;
`dropped` how many there were no room for."""

_COMMIT_AFTER = 0.15  # seconds
_MOST_SPANS = 20_000  # of a trace
_MOST_LINES = 20_000
_MOST_ATTRIBUTES = 1000
_MOST_TEXT = 4000
_MOST_SERVICES = 100
_MOST_EVENTS = 2000
_LARGEST_EVENT = 64 * 1024
_UNCLAIMED_AFTER = 60 * 10**9  # nanoseconds that log lines wait for a span of their trace
_CROSSING = frozenset(("SERVER", "CLIENT", "PRODUCER", "CONSUMER"))
_COLUMNS = (
    *("id", "start_ns", "end_ns", "spans", "errors", "logs", "bytes", "not_kept", "touched_ns", "ok", "kept"),
    *("services", "root_rank", "root_start_ns", "service", "name", "kind", "route"),
)
_MOST_NS = 2**63 - 1


class StoreWriter:
    """Thread-safe. `on_commit` is called by the thread that commits, with what the commit has added."""

    def __init__(
        self,
        path: str,
        *,
        max_bytes: int = 256 * 1024 * 1024,
        durable: bool = True,
        on_commit: Callable[[list[Event]], None] | None = None,
    ) -> None:
        """Raises StoreError."""
        self.path = path
        self.not_kept = 0
        """Spans and log lines for which there was no room."""
        self._connection = open_for_writing(path, durable=durable)
        self._page_size = int(self._connection.execute("PRAGMA page_size").fetchone()[0])
        self._max_bytes = max_bytes
        self._part = max_bytes // 32  # of a transaction and of a row, so that the bound holds in between, too
        self._on_commit = on_commit
        self._events: list[Event] = []
        self._events_dropped = 0
        self._written = 0
        self._lock = threading.Lock()
        self._pending = threading.Event()
        self._closed = threading.Event()
        with self._lock:
            self._guarded(self._make_room)
        self._thread = threading.Thread(target=self._commit_in_time, name="tracebaton-store", daemon=True)
        self._thread.start()

    def add_spans(self, spans: Sequence[Span]) -> None:
        """Raises StoreError: the disk is full, or somebody else writes to the file. Nothing once it is closed."""
        self._add(spans, self._add_spans)

    def add_lines(self, lines: Sequence[LogLine]) -> None:
        """As `add_spans`."""
        self._add(lines, self._add_lines)

    def commit(self) -> None:
        """Now, for a reader who comes at once. Raises StoreError."""
        with self._lock:
            self._guarded(self._commit)

    def close(self) -> None:
        """Commit and let go of the file; no thread is left."""
        self._closed.set()
        self._pending.set()
        self._thread.join()
        with self._lock:
            try:
                self._guarded(self._commit)
            finally:
                self._connection.close()

    def _add(self, items: Sequence[Any], add: Callable[[str, list[Any]], None]) -> None:
        by_trace: dict[str, list[Any]] = {}
        for item in items:
            by_trace.setdefault(item.trace_id, []).append(item)
        for trace_id, some in by_trace.items():
            for start in range(0, len(some), 500):  # the lock is given up in between, for the commits
                with self._lock:
                    if self._closed.is_set():
                        return
                    self._guarded(lambda: self._add_part(add, trace_id, some[start : start + 500]))  # noqa: B023
        self._pending.set()

    def _add_part(self, add: Callable[[str, list[Any]], None], trace_id: str, items: list[Any]) -> None:
        if not self._connection.in_transaction:
            self._connection.execute("BEGIN IMMEDIATE")
        add(trace_id, items)
        if self._written > self._part:
            self._commit()

    def _guarded(self, act: Callable[[], None]) -> None:
        try:
            act()
        except sqlite3.Error as error:
            if self._connection.in_transaction:
                self._connection.rollback()
            self._events.clear()
            raise StoreError(f"cannot write to {self.path}: {error}") from error

    def _commit_in_time(self) -> None:
        while not self._closed.is_set():
            self._pending.wait()
            self._closed.wait(_COMMIT_AFTER)
            self._pending.clear()
            with self._lock:
                try:
                    self._guarded(self._commit)
                except StoreError:
                    continue  # whoever adds the next hears of it

    def _commit(self) -> None:
        if not self._connection.in_transaction:
            return
        self._connection.execute("COMMIT")
        self._written = 0
        events, self._events = self._events, []
        if self._events_dropped:
            events.append(("dropped", f'{{"count":{self._events_dropped}}}'))
            self._events_dropped = 0
        self._make_room()
        if self._on_commit is not None and events:
            self._on_commit(events)

    # -- what is kept of a trace

    def _row(self, trace_id: str) -> dict[str, Any]:
        found = self._connection.execute(
            f"SELECT {', '.join(_COLUMNS)} FROM traces WHERE trace_id = ?",  # noqa: S608
            (trace_id,),
        ).fetchone()
        if found is None:
            found = (None, _MOST_NS, 0, 0, 0, 0, 0, 0, 0, 0, None, "[]", 9, _MOST_NS, "", "", "", "")
        return dict(zip(_COLUMNS, found, strict=True))

    def _save(self, trace_id: str, row: dict[str, Any]) -> None:
        names = _COLUMNS[1:]
        values = [row[name] for name in names]
        self._connection.execute(
            f"UPDATE traces SET {', '.join(f'{name} = ?' for name in names)} WHERE id = ?",  # noqa: S608
            (*values, row["id"]),
        )
        self._event("trace", trace_id)

    def _number(self, trace_id: str, row: dict[str, Any]) -> int:
        """The trace's own, which a new one gets."""
        if row["id"] is None:
            names = _COLUMNS[1:]
            row["id"] = self._connection.execute(
                f"INSERT INTO traces (trace_id, {', '.join(names)}) VALUES (?{', ?' * len(names)})",  # noqa: S608
                (trace_id, *(row[name] for name in names)),
            ).lastrowid
        return int(row["id"])

    def _has_room(self, row: dict[str, Any], size: int) -> bool:
        return size <= self._part and row["bytes"] + size <= self._max_bytes // 2 and not self._is_full()

    def _add_spans(self, trace_id: str, spans: list[Span]) -> None:
        execute = self._connection.execute
        row = self._row(trace_id)
        number = self._number(trace_id, row)
        texts: dict[str, None] = {trace_id: None} if not row["spans"] else {}
        hashes: set[int] = set()
        seen_resources: set[int] = set()
        services: list[str] = _decoded(row["services"])
        for span in spans:
            data = to_json(span_document(span))
            if row["spans"] >= _MOST_SPANS or not self._has_room(row, len(data)):
                row["not_kept"] += 1
                self.not_kept += 1
                continue
            start_ns, end_ns = min(span.start_ns, _MOST_NS), min(max(span.end_ns, span.start_ns), _MOST_NS)
            added = execute(
                "INSERT OR IGNORE INTO spans (trace, span_id, start_ns, end_ns, data) VALUES (?, ?, ?, ?, ?)",
                (number, span.span_id, start_ns, end_ns, data),
            ).rowcount
            if not added:
                continue  # an exporter that got no answer sends a batch again
            self._written += len(data)
            row["bytes"] += len(data)
            row["spans"] += 1
            failed = span.status == "ERROR"
            row["errors"] += failed
            row["start_ns"] = min(row["start_ns"], start_ns)
            row["end_ns"] = max(row["end_ns"], end_ns)
            if _clean(span.service) not in services and len(services) < _MOST_SERVICES:
                services.append(_clean(span.service)[:200])
            row["kept"] = row["kept"] or _clean(str(span.attributes.get("tracebaton.kept") or ""))[:20] or None
            self._relate(number, span)
            rank = 1 if span.parent_span_id else 0
            if (rank, start_ns) < (row["root_rank"], row["root_start_ns"]):
                row.update(
                    root_rank=rank,
                    root_start_ns=start_ns,
                    service=_clean(span.service)[:200],
                    name=_clean(span.name)[:500],
                )
                row.update(kind=span.kind, route=_clean(route(span)), ok=int(span.status == "OK"))
            if span.kind in _CROSSING:
                self._add_hop(number, span, failed=failed)
            texts.update(dict.fromkeys((span.service, span.name, span.status_message, route(span))))
            hashes.update(searchable(span.attributes))
            if id(span.resource) not in seen_resources:
                seen_resources.add(id(span.resource))
                hashes.update(searchable(span.resource))
            if self._on_commit is not None:
                self._event("span", f'{{"trace_id":"{trace_id}",{data[1:]}')
        row["services"] = to_json(services)
        row["touched_ns"] = time.time_ns()
        self._index(number, texts, hashes)
        self._save(trace_id, row)

    def _relate(self, number: int, span: Span) -> None:
        """Keep the ids of parents that have not come."""
        execute = self._connection.execute
        execute("DELETE FROM missing WHERE trace = ? AND span_id = ?", (number, span.span_id))
        if span.parent_span_id:
            execute(
                "INSERT OR IGNORE INTO missing SELECT ?1, ?2 "
                "WHERE NOT EXISTS (SELECT 1 FROM spans WHERE trace = ?1 AND span_id = ?2)",
                (number, span.parent_span_id),
            )

    def _add_hop(self, number: int, span: Span, *, failed: bool) -> None:
        other = peer(span)
        self._connection.execute(
            "INSERT OR IGNORE INTO hops VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(
                    number,
                    span.span_id,
                    span.parent_span_id,
                    span.kind,
                    _clean(span.service[:200]),
                    _clean(route(span)),
                ),
                *(_clean(other.name), other.kind, min(span.start_ns, _MOST_NS) // 1000),
                *(min(max(0, span.end_ns - span.start_ns), _MOST_NS) // 1000, int(failed)),
            ),
        )

    def _add_lines(self, trace_id: str, lines: list[LogLine]) -> None:
        row = self._row(trace_id)
        number = self._number(trace_id, row)
        texts: dict[str, None] = {}
        for line in lines:
            data = to_json(log_document(line))
            if row["logs"] >= _MOST_LINES or not self._has_room(row, len(data)):
                row["not_kept"] += 1
                self.not_kept += 1
                continue
            # The same line may come from stdout and over OTLP, where its time has more digits.
            same = f"{line.time_ns // 1_000_000}\0{line.span_id}\0{line.level}\0{line.message}"
            added = self._connection.execute(
                "INSERT OR IGNORE INTO logs (trace, hash, time_ns, data) VALUES (?, ?, ?, ?)",
                (number, hash_of(same), min(line.time_ns, _MOST_NS), data),
            ).rowcount
            if added:
                self._written += len(data)
                row["bytes"] += len(data)
                row["logs"] += 1
                texts[line.message] = None
                if self._on_commit is not None:
                    self._event("log", f'{{"trace_id":"{trace_id}",{data[1:]}')
        row["touched_ns"] = time.time_ns()
        self._index(number, texts, set())
        self._save(trace_id, row)

    def _index(self, number: int, texts: Iterable[str], hashes: set[int]) -> None:
        """What a trace is found by; of a large one the first of it."""
        execute = self._connection.execute
        found = execute("SELECT text FROM texts WHERE trace = ?", (number,)).fetchone()
        text = known = found[0] if found else ""
        for each in texts:
            shown = _clean(each[:300].lower())
            if shown and len(text) < _MOST_TEXT and shown not in text:
                text += shown + "\n"
        if text != known:
            execute("INSERT OR REPLACE INTO texts VALUES (?, ?)", (number, text))
        if hashes:
            (count,) = execute("SELECT count(*) FROM attributes WHERE trace = ?", (number,)).fetchone()
            rows = [(number, each) for each in hashes][: max(0, _MOST_ATTRIBUTES - count)]
            self._connection.executemany("INSERT OR IGNORE INTO attributes VALUES (?, ?)", rows)
            self._written += 40 * len(rows)

    def _event(self, kind: str, data: str) -> None:
        if self._on_commit is None or (kind == "trace" and ("trace", data) in self._events[-3:]):
            return
        if len(self._events) < _MOST_EVENTS and len(data) < _LARGEST_EVENT:
            self._events.append((kind, data))
        else:
            self._events_dropped += 1

    # -- the bound

    def _pragma(self, name: str) -> int:
        return int(self._connection.execute(f"PRAGMA {name}").fetchone()[0])

    def _wal(self) -> int:
        try:
            return Path(f"{self.path}-wal").stat().st_size
        except OSError:
            return 0

    def _is_full(self) -> bool:
        """A reader that holds on to an old state of the file keeps its WAL from being emptied."""
        return (self._pragma("page_count") - self._pragma("freelist_count")) * self._page_size + max(
            self._wal(), self._written
        ) > self._max_bytes * 15 // 16

    def _make_room(self) -> None:
        """Outside of a transaction."""
        execute = self._connection.execute
        if self._wal() > self._part:
            execute("PRAGMA wal_checkpoint(TRUNCATE)")
        limit = self._max_bytes * 3 // 4
        used = (self._pragma("page_count") - self._pragma("freelist_count")) * self._page_size
        while used > limit:
            execute("BEGIN IMMEDIATE")
            unclaimed = execute(
                "SELECT id FROM traces WHERE spans = 0 AND touched_ns < ? ORDER BY id LIMIT 200",
                (time.time_ns() - _UNCLAIMED_AFTER,),
            ).fetchall()
            oldest = unclaimed or execute("SELECT id, bytes FROM traces ORDER BY id LIMIT 200").fetchall()
            freed = 0
            for number, *size in oldest:
                for table in ("spans", "logs", "missing", "attributes", "texts", "hops"):
                    execute(f"DELETE FROM {table} WHERE trace = ?", (number,))  # noqa: S608
                execute("DELETE FROM traces WHERE id = ?", (number,))
                freed += sum(size)
                if freed > self._part:
                    break
            execute("COMMIT")
            execute("PRAGMA wal_checkpoint(TRUNCATE)")
            used = (self._pragma("page_count") - self._pragma("freelist_count")) * self._page_size
            if not oldest:
                break
        pages = self._pragma("page_count")
        while pages * self._page_size > self._max_bytes * 7 // 8 and self._pragma("freelist_count"):
            # A file of a larger bound. As a script, because `execute` takes one step, and each step frees one page.
            self._connection.executescript(f"PRAGMA incremental_vacuum({max(16, self._part // self._page_size)})")
            execute("PRAGMA wal_checkpoint(TRUNCATE)")
            before, pages = pages, self._pragma("page_count")
            if pages >= before:
                break


def _clean(text: str) -> str:
    """Without lone surrogates, for which SQLite has no room."""
    return text.encode("utf-8", "replace").decode()


def _decoded(text: str) -> list[str]:
    import json

    return list(json.loads(text))
