"""The file: how it is opened, whose it is, and its tables.

1. Nothing is written before `application_id` has been looked at: another program's file stays as it is.
2. A summary of each trace is kept up to date when it is written, so that listing reads no spans.
3. `hops` has of the spans that cross processes what the view of services needs, newest traces first.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

__all__ = ["StoreError", "open_for_reading", "open_for_writing"]

_APPLICATION_ID = 0x54424154
_VERSION = 1
_TABLES = """
CREATE TABLE traces (
    id INTEGER PRIMARY KEY AUTOINCREMENT, trace_id TEXT NOT NULL UNIQUE,
    start_ns INTEGER NOT NULL, end_ns INTEGER NOT NULL, spans INTEGER NOT NULL, errors INTEGER NOT NULL,
    logs INTEGER NOT NULL, bytes INTEGER NOT NULL, not_kept INTEGER NOT NULL, touched_ns INTEGER NOT NULL,
    ok INTEGER NOT NULL, kept TEXT, services TEXT NOT NULL,
    root_rank INTEGER NOT NULL, root_start_ns INTEGER NOT NULL,
    service TEXT NOT NULL, name TEXT NOT NULL, kind TEXT NOT NULL, route TEXT NOT NULL
);
CREATE INDEX traces_newest ON traces (start_ns, id) WHERE spans > 0;
CREATE INDEX traces_failed ON traces (start_ns, id) WHERE spans > 0 AND errors > 0;
CREATE INDEX traces_endpoint ON traces (service, name, start_ns) WHERE spans > 0;
CREATE INDEX traces_without_spans ON traces (id) WHERE spans = 0;
CREATE TABLE spans (
    id INTEGER PRIMARY KEY, trace INTEGER NOT NULL, span_id TEXT NOT NULL, start_ns INTEGER NOT NULL,
    end_ns INTEGER NOT NULL, data TEXT NOT NULL, UNIQUE (trace, span_id, start_ns, end_ns)
);
CREATE TABLE logs (
    id INTEGER PRIMARY KEY, trace INTEGER NOT NULL, hash INTEGER NOT NULL, time_ns INTEGER NOT NULL, data TEXT NOT NULL,
    UNIQUE (trace, hash)
);
CREATE TABLE missing (trace INTEGER, span_id TEXT, PRIMARY KEY (trace, span_id)) WITHOUT ROWID;
CREATE TABLE attributes (trace INTEGER, hash INTEGER, PRIMARY KEY (trace, hash)) WITHOUT ROWID;
CREATE INDEX attributes_traces ON attributes (hash);
CREATE TABLE texts (trace INTEGER PRIMARY KEY, text TEXT NOT NULL);
CREATE TABLE hops (
    trace INTEGER, span_id TEXT, parent TEXT, kind TEXT, service TEXT, route TEXT, peer TEXT, peer_kind TEXT,
    start_us INTEGER, duration_us INTEGER, error INTEGER, PRIMARY KEY (trace, span_id)
) WITHOUT ROWID;
"""


class StoreError(Exception):
    """The file cannot be used; the message is a sentence without a full stop."""


def open_for_writing(path: str, *, durable: bool = True) -> sqlite3.Connection:
    """Open the store or make it. Raises StoreError for another program's file, a corrupt one and one in use.

    The connection may be used by any thread, by one at a time.
    """
    try:
        exists = _is_ours(path)
        if exists:
            with closing(_connect(f"{Path(path).resolve().as_uri()}?mode=ro", uri=True)) as connection:
                _check(connection, path, whole=True)
        connection = _connect(path, uri=False)
        if not exists:
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # which has to be before the first table
            connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        # One viewer a file: the lock is kept, and let go by the system however the process ends.
        connection.execute("PRAGMA busy_timeout = 1000")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {'NORMAL' if durable else 'OFF'}")
        connection.execute("PRAGMA journal_size_limit = 0")
        connection.execute("PRAGMA cache_size = -8000")
        if not exists:
            connection.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {_VERSION}; COMMIT;")
    except sqlite3.DatabaseError as error:
        raise _problem(path, error) from error
    except (OSError, ValueError) as error:
        raise StoreError(f"cannot open {path}: {getattr(error, 'strerror', None) or error}") from error
    return connection


def open_for_reading(path: str) -> sqlite3.Connection:
    """Raises StoreError, also for a file that is not there."""
    if not _is_ours(path):
        raise StoreError(f"cannot open {path}: there is no such file, or it is empty")
    try:
        connection = _connect(f"{Path(path).resolve().as_uri()}?mode=ro", uri=True)
        connection.execute("PRAGMA busy_timeout = 5000")
        _check(connection, path, whole=False)
    except sqlite3.DatabaseError as error:
        raise _problem(path, error) from error
    return connection


def _is_ours(path: str) -> bool:
    """False for a file that is not there yet, or empty; read without SQLite, which makes files beside it.

    The header: https://www.sqlite.org/fileformat2.html#the_database_header
    """
    try:
        with Path(path).open("rb") as file:
            header = file.read(100)
    except FileNotFoundError:
        return False
    except (OSError, ValueError) as error:
        raise StoreError(f"cannot open {path}: {getattr(error, 'strerror', None) or error}") from error
    if not header:
        return False
    if len(header) < 100 or not header.startswith(b"SQLite format 3\0"):
        raise StoreError(f"{path} is no database; it has been left as it is")
    if int.from_bytes(header[68:72], "big") != _APPLICATION_ID:
        raise StoreError(f"{path} is a database of another program; it has been left as it is")
    return True


def _connect(path: str, *, uri: bool) -> sqlite3.Connection:
    # Transactions are begun by whoever wants one.
    return sqlite3.connect(path, uri=uri, isolation_level=None, check_same_thread=False)


def _check(connection: sqlite3.Connection, path: str, *, whole: bool) -> None:
    version = _number(connection, "user_version")
    if version != _VERSION:
        raise StoreError(
            f"{path} was made by another release of tracebaton (version {version} and not {_VERSION}); "
            "choose another file with --db"
        )
    if whole and (found := connection.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
        raise StoreError(f"{path} is corrupt ({' '.join(str(found).split())[:200]}); choose another file with --db")


def _number(connection: sqlite3.Connection, pragma: str) -> int:
    return int(connection.execute(f"PRAGMA {pragma}").fetchone()[0])


def _problem(path: str, error: sqlite3.DatabaseError) -> StoreError:
    if "not a database" in str(error):
        return StoreError(f"{path} is no database; it has been left as it is")
    if "malformed" in str(error):
        return StoreError(f"{path} is corrupt; choose another file with --db")
    return StoreError(f"cannot open {path}: {error}")
