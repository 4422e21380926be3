"""tracebaton.store"""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tracebaton.store.lines import LogLine
from tracebaton.store.reader import AskError, StoreReader
from tracebaton.store.schema import StoreError
from tracebaton.store.services import percentile
from tracebaton.store.writer import StoreWriter
from tracebaton.view.spans import Span

SECOND = 10**9
BEGAN = 1_700_000_000 * SECOND


def a_span(trace: int = 1, span: int = 1, parent: int = 0, **values: Any) -> Span:
    start = BEGAN + trace * SECOND
    known: dict[str, Any] = {
        "trace_id": f"{trace:032x}",
        "span_id": f"{span:016x}",
        "parent_span_id": f"{parent:016x}" if parent else "",
        "name": "GET /chat",
        "kind": "SERVER",
        "start_ns": start,
        "end_ns": start + 10_000_000,
        "service": "agent-a",
        "status": "UNSET",
        "status_message": "",
        "attributes": {"http.route": "/chat"},
        "resource": {},
        "scope_name": "",
        "scope_version": "",
    }
    return Span(**{**known, **values})


def a_line(trace: int = 1, message: str = "hello", **values: Any) -> LogLine:
    known = {"span_id": f"{1:016x}", "time_ns": BEGAN, "service": "agent-a", "level": "INFO", "logger": "app"}
    return LogLine(trace_id=f"{trace:032x}", message=message, **{**known, **values})


def stored(tmp_path: Path, spans: list[Span], lines: list[LogLine] | None = None) -> StoreReader:
    writer = StoreWriter(str(tmp_path / "db"))
    writer.add_spans(spans)
    writer.add_lines(lines or [])
    writer.close()
    return StoreReader(str(tmp_path / "db"))


def ids(found: dict[str, Any]) -> list[int]:
    return [int(one["trace_id"], 16) for one in found["traces"]]


class TestList:
    def test_newest_first_in_pages(self, tmp_path: Path) -> None:
        reader = stored(tmp_path, [a_span(number) for number in range(1, 6)])
        first = reader.traces({"limit": "3"})
        assert (ids(first), first["total"]) == ([5, 4, 3], 5)
        rest = reader.traces({"limit": "3", "before": first["next"]})
        assert (ids(rest), rest["next"], rest["total"]) == ([2, 1], None, 5)

    @pytest.mark.parametrize(
        ("asked", "found"),
        [
            ({"service": "backend"}, [3]),
            ({"service": "back"}, []),
            ({"route": "/other"}, [2]),
            ({"status": "error"}, [3]),
            ({"status": "ok"}, [2, 1]),
            ({"min_us": "10001"}, [2]),
            ({"max_us": "10000"}, [3, 1]),
            ({"text": "NO Model"}, [3]),
            ({"text": "a line of it"}, [1]),
            ({"text": "%"}, []),
            ({"attr": "user=7"}, [2]),
            ({"attr": "user=8"}, []),
            ({"attr": "user"}, [2]),
            ({"attr": "flag=true"}, [2]),
            ({"kept": "1"}, [1]),
            ({"kept": "1", "status": "error"}, []),
        ],
    )
    def test_filters(self, tmp_path: Path, asked: dict[str, str], found: list[int]) -> None:
        long = BEGAN + 3 * SECOND
        spans = [
            a_span(1, attributes={"tracebaton.kept": "slow"}),
            a_span(2, attributes={"http.route": "/other", "user": 7, "flag": True}, end_ns=long),
            a_span(3),
            a_span(3, 2, 1, service="backend", status="ERROR", status_message="no model"),
        ]
        reader = stored(tmp_path, spans, [a_line(1, "A line of it")])
        answer = reader.traces(asked)
        assert (ids(answer), answer["total"]) == (found, len(found))

    @pytest.mark.parametrize("asked", [{"status": "bad"}, {"min_us": "-1"}, {"before": "x"}, {"limit": "1.5"}])
    def test_wrong_parameters(self, tmp_path: Path, asked: dict[str, str]) -> None:
        with pytest.raises(AskError) as error:
            stored(tmp_path, []).traces(asked)
        assert error.value.status == 400

    def test_summary(self, tmp_path: Path) -> None:
        """The root is the span without a parent, whenever it comes; until then the trace is partial."""
        child = a_span(1, 2, 1, service="backend", name="work", kind="INTERNAL", status="ERROR")
        writer = StoreWriter(str(tmp_path / "db"))
        writer.add_spans([child])
        writer.add_spans([child])  # sent again
        writer.close()
        (before,) = StoreReader(str(tmp_path / "db")).traces({})["traces"]
        assert (before["spans"], before["errors"], before["partial"], before["complete"]) == (1, 1, True, False)
        writer = StoreWriter(str(tmp_path / "db"))
        writer.add_spans([a_span(1, 1)])
        writer.add_lines([a_line(), a_line()])
        writer.close()
        (after,) = StoreReader(str(tmp_path / "db")).traces({})["traces"]
        assert after["root"] == {"service": "agent-a", "name": "GET /chat", "kind": "SERVER", "route": "/chat"}
        assert (after["spans"], after["logs"], after["status"], after["partial"]) == (2, 1, "ERROR", False)

    def test_spans_come_in_any_order(self, tmp_path: Path) -> None:
        writer = StoreWriter(str(tmp_path / "db"))
        start = BEGAN + SECOND
        for number, kept in ((3, ""), (1, "error"), (2, "slow")):
            values = {"start_ns": start + number * 10**6, "end_ns": start + (9 - number) * 10**6}
            writer.add_spans([a_span(1, number, number - 1, attributes={"tracebaton.kept": kept}, **values)])
        writer.close()
        reader = StoreReader(str(tmp_path / "db"))
        (summary,) = reader.traces({})["traces"]
        assert (summary["start_us"] * 1000, summary["duration_us"]) == (start + 10**6, 7000)
        assert (summary["kept"], summary["complete"]) == ("error", True)
        spans = reader.trace(summary["trace_id"])["spans"]
        assert [int(span["span_id"], 16) for span in spans] == [1, 2, 3]

    def test_a_line_of_stdout_and_the_same_one_over_otlp_are_one(self, tmp_path: Path) -> None:
        lines = [a_line(time_ns=BEGAN + nanoseconds) for nanoseconds in (5_000_000, 5_123_456, 6_000_000)]
        assert len(stored(tmp_path, [a_span()], lines).trace(f"{1:032x}")["logs"]) == 2

    def test_lines_alone_are_no_trace(self, tmp_path: Path) -> None:
        assert stored(tmp_path, [], [a_line()]).traces({})["total"] == 0


class TestTrace:
    def test_beginning_of_an_id(self, tmp_path: Path) -> None:
        spans = [a_span(1, trace_id="abcdef" + "0" * 25 + "1"), a_span(2, trace_id="abcdef" + "0" * 25 + "2")]
        reader = stored(tmp_path, [*spans, a_span(3, trace_id="fedcba" + "0" * 26)])
        assert reader.trace("FEDCBA")["trace_id"] == "fedcba" + "0" * 26
        for asked, word in (
            ("abcdef", "several"),
            ("123456", "no trace"),
            ("abc", "no trace id"),
            ("../..", "no trace id"),
        ):
            with pytest.raises(AskError, match=word) as error:
                reader.trace(asked)
            assert error.value.status == 404

    def test_odd_texts(self, tmp_path: Path) -> None:
        """Lone surrogates, control characters and megabytes are stored; what is too long is cut and says so."""
        name = "<script>\x1b[31m\ud800\0"
        reader = stored(tmp_path, [a_span(1, name=name)], [a_line(1, "x" * 1_000_000)])
        found = reader.trace(f"{1:032x}")
        assert found["spans"][0]["name"] == name
        assert found["logs"][0]["message"].endswith("more characters)")


class TestCompare:
    def test_with_the_last_good_one(self, tmp_path: Path) -> None:
        def trace(number: int, **values: Any) -> list[Span]:
            return [a_span(number), a_span(number, 2, 1, name="call", kind="CLIENT", **values)]

        slow = BEGAN + 3 * SECOND + 100_000_000
        spans = [*trace(1), *trace(2, status="ERROR"), *trace(3, end_ns=slow), a_span(3, 3, 1, name="more")]
        reader = stored(tmp_path, spans)
        found = reader.compare(f"{3:032x}")
        assert int(found["other"]["trace_id"], 16) == 1  # the one before has an error
        states = {row["path"][-1]: row["state"] for row in found["rows"]}
        assert states == {
            "agent-a SERVER GET /chat": "same",
            "agent-a CLIENT call": "slower",
            "agent-a SERVER more": "new",
        }
        failed = reader.compare(f"{2:032x}", f"{3:032x}")["rows"]
        assert {row["state"] for row in failed} == {"same", "failed", "gone"}

    @pytest.mark.parametrize(
        ("url", "is_compared_as"),
        [
            ("http://b:8000/agents/agent-2/chat", "POST b:8000/agents/agent-2/chat"),
            ("http://b:8000/v1/users/17/mails?since=3", "POST b:8000/v1/users/{id}/mails"),
            ("https://b/4bf92f35-77b3-4da6-a3ce-929d0e0e4736/01HZX3KQ5V6W7Y8Z9A0B1C#x", "POST b/{id}/{id}"),
            ("http://b/deadbeef/decade?next=http://c/", "POST b/deadbeef/decade"),
            ("http://b", "POST b"),
            ("", "POST"),
        ],
    )
    def test_calls_are_compared_by_where_they_went(self, tmp_path: Path, url: str, is_compared_as: str) -> None:
        values = {"url.full": url, "http.request.method": "POST"}
        call = a_span(name="POST", kind="CLIENT", attributes=values)
        reader = stored(tmp_path, [call, a_span(2)])
        (row,) = (row for row in reader.compare(f"{1:032x}", f"{2:032x}")["rows"] if row["state"] == "new")
        assert row["path"] == [f"agent-a CLIENT {is_compared_as}"]

    def test_a_difference_is_five_milliseconds_and_half_as_much(self, tmp_path: Path) -> None:
        times = {1: 10, 2: 14, 3: 15, 4: 100, 5: 140, 6: 160}
        spans = [a_span(number, end_ns=BEGAN + number * SECOND + ms * 10**6) for number, ms in times.items()]
        reader = stored(tmp_path, spans)

        def state(this: int, other: int) -> str:
            (row,) = reader.compare(f"{this:032x}", f"{other:032x}")["rows"]
            return str(row["state"])

        assert [state(this, other) for this, other in ((2, 1), (3, 1), (5, 4), (6, 4))] == [
            *("same", "slower", "same", "slower"),
        ]
        assert [state(this, other) for this, other in ((1, 2), (1, 3), (4, 5), (4, 6))] == [
            *("same", "faster", "same", "faster"),
        ]

    def test_spans_with_the_same_id_do_not_multiply(self, tmp_path: Path) -> None:
        chain = [
            a_span(1, number, number - 1, end_ns=BEGAN + 2 * SECOND + twin)
            for number in range(1, 40)
            for twin in (0, 1)
        ]
        reader = stored(tmp_path, [*chain, a_span(2)])
        assert len(reader.compare(f"{1:032x}", f"{2:032x}")["rows"]) <= len(chain) + 1

    def test_deep_and_circular(self, tmp_path: Path) -> None:
        chain = [a_span(1, number, number - 1) for number in range(1, 3000)]
        circle = [a_span(2, 1, 2), a_span(2, 2, 1)]
        reader = stored(tmp_path, [*chain, *circle])
        assert max(len(row["path"]) for row in reader.compare(f"{1:032x}", f"{1:032x}")["rows"]) == 41
        assert reader.compare(f"{2:032x}", f"{1:032x}")["rows"]


def test_services(tmp_path: Path) -> None:
    spans = [
        a_span(1, 1),
        a_span(1, 2, 1, kind="CLIENT", name="POST", attributes={"url.full": "http://b:1/x"}),
        a_span(1, 3, 2, service="backend", status="ERROR"),
        a_span(1, 4, 3, service="backend", kind="CLIENT", name="GET", attributes={"db.system": "redis"}),
    ]
    found = stored(tmp_path, spans).services()
    assert {(edge["from"], edge["to"], edge["kind"]) for edge in found["edges"]} == {
        ("agent-a", "backend", "http"),
        ("backend", "redis", "db"),
    }
    assert {(one["name"], one["requests"], one["errors"]) for one in found["services"]} == {
        ("agent-a", 1, 0),
        ("backend", 1, 1),
    }
    assert len(found["endpoints"][0]["sparkline_p50"]) == 30


def test_a_peer_is_named_without_its_password(tmp_path: Path) -> None:
    call = a_span(kind="CLIENT", name="GET", attributes={"url.full": "http://ann:secret@b:1/x"})
    (edge,) = stored(tmp_path, [call]).services()["edges"]
    assert edge["to"] == "b:1"


@pytest.mark.parametrize(
    ("durations", "p50", "p99"), [([], 0, 0), ([7], 7, 7), ([1, 2], 1, 2), (list(range(1, 201)), 100, 198)]
)
def test_percentiles_are_the_nearest_rank(durations: list[int], p50: int, p99: int) -> None:
    assert (percentile(durations, 50), percentile(durations, 99)) == (p50, p99)


def test_rate_is_of_the_last_day(tmp_path: Path) -> None:
    day = 86400
    spans = [a_span(number, status=status) for number, status in ((1, "OK"), (day, "OK"), (2 * day, "ERROR"))]
    rate = stored(tmp_path, spans).rate(buckets=10)
    assert (sum(rate["traces"]), sum(rate["errors"])) == (2, 1)
    assert (rate["traces"][0], rate["traces"][-1], rate["errors"][-1]) == (1, 1, 1)
    assert rate["from_us"] == (BEGAN + day * SECOND) // 1000
    (tmp_path / "db").unlink()
    assert stored(tmp_path, [a_span(5), a_span(9)]).rate()["from_us"] == (BEGAN + 5 * SECOND) // 1000


class TestFile:
    def test_bound(self, tmp_path: Path) -> None:
        """With WAL and free pages it stays below its bound all the time; the newest trace is there, the oldest gone."""
        path, bound = tmp_path / "db", 16 * 1024 * 1024
        writer = StoreWriter(str(path), max_bytes=bound)
        largest = 0
        for number in range(1, 301):
            writer.add_spans([a_span(number, span, attributes={"x": "y" * 20_000}) for span in range(1, 6)])
            largest = max(
                largest, sum(one.stat().st_size for one in tmp_path.iterdir() if not one.name.endswith("shm"))
            )
        writer.close()
        assert bound // 2 < largest <= bound
        found = ids(StoreReader(str(path)).traces({"limit": "500"}))
        assert found[0] == 300
        assert found == list(range(300, 300 - len(found), -1))
        # Nothing of those that are gone is left anywhere.
        connection = sqlite3.connect(path)
        for table in ("spans", "logs", "missing", "attributes", "texts", "hops"):
            left = f"SELECT count(*) FROM {table} WHERE trace NOT IN (SELECT id FROM traces)"  # noqa: S608
            assert connection.execute(left).fetchone() == (0,), table
        connection.close()

    def test_lines_without_a_trace_go_before_traces(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("tracebaton.store.writer._UNCLAIMED_AFTER", -SECOND)
        writer = StoreWriter(str(tmp_path / "db"), max_bytes=8 * 1024 * 1024)
        writer.add_spans([a_span(1)])
        for number in range(2, 300):
            writer.add_lines([a_line(number, "x" * 100_000)])
        writer.close()
        connection = sqlite3.connect(tmp_path / "db")
        (lines,) = connection.execute("SELECT count(*) FROM logs").fetchone()
        connection.close()
        assert lines < 200
        assert ids(StoreReader(str(tmp_path / "db")).traces({})) == [1]

    def test_nothing_is_added_to_a_closed_one(self, tmp_path: Path) -> None:
        writer = StoreWriter(str(tmp_path / "db"))
        writer.close()
        writer.add_spans([a_span()])
        assert StoreReader(str(tmp_path / "db")).traces({})["total"] == 0

    def test_smaller_bound(self, tmp_path: Path) -> None:
        """A file of a larger bound becomes smaller when it is opened."""
        path = tmp_path / "db"
        writer = StoreWriter(str(path), max_bytes=64 * 1024 * 1024)
        for number in range(1, 201):
            writer.add_spans([a_span(number, span, attributes={"x": "y" * 30_000}) for span in range(1, 6)])
        writer.close()
        assert path.stat().st_size > 24 * 1024 * 1024
        StoreWriter(str(path), max_bytes=16 * 1024 * 1024).close()
        assert path.stat().st_size <= 16 * 1024 * 1024

    @pytest.mark.parametrize("content", [b"no database", b"x" * 5000])
    def test_no_database(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "db"
        path.write_bytes(content)
        with pytest.raises(StoreError, match="no database; it has been left as it is"):
            StoreWriter(str(path))
        assert path.read_bytes() == content
        assert list(tmp_path.iterdir()) == [path]

    def test_other_program(self, tmp_path: Path) -> None:
        path = tmp_path / "db"
        other = sqlite3.connect(path)
        other.execute("CREATE TABLE mine (x)")
        other.close()
        before = path.read_bytes()
        with pytest.raises(StoreError, match="of another program"):
            StoreWriter(str(path))
        assert path.read_bytes() == before
        assert list(tmp_path.iterdir()) == [path]

    def test_corrupt(self, tmp_path: Path) -> None:
        path = tmp_path / "db"
        stored(tmp_path, [a_span(number) for number in range(1, 200)]).close()
        content = path.read_bytes()
        path.write_bytes(content[:4096] + b"\xff" * 20_000 + content[24_096:])
        with pytest.raises(StoreError, match="is corrupt"):
            StoreWriter(str(path))

    def test_no_directory(self, tmp_path: Path) -> None:
        with pytest.raises(StoreError, match="cannot open"):
            StoreWriter(str(tmp_path / "none" / "db"))

    def test_killed(self, tmp_path: Path) -> None:
        """What was written a second before is there."""
        code = (
            "import sys, time; sys.path[:0] = sys.argv[2:]; from test_store import a_span; "
            "from tracebaton.store.writer import StoreWriter; "
            "writer = StoreWriter(sys.argv[1]); writer.add_spans([a_span(1)]); "
            "time.sleep(1); print('now', flush=True); time.sleep(60)"
        )
        command = [sys.executable, "-c", code, str(tmp_path / "db"), str(Path(__file__).parent)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"now\n"
            process.send_signal(signal.SIGKILL)
        assert StoreReader(str(tmp_path / "db")).traces({})["total"] == 1


def test_events(tmp_path: Path) -> None:
    """What a commit has added can be read by then."""
    heard: list[Any] = []
    reader: list[StoreReader] = []

    def on_commit(events: list[tuple[str, str]]) -> None:
        heard.append((events, reader[0].traces({})["total"]))

    writer = StoreWriter(str(tmp_path / "db"), on_commit=on_commit)
    reader.append(StoreReader(str(tmp_path / "db")))
    writer.add_spans([a_span()])
    deadline = time.monotonic() + 10
    while not heard and time.monotonic() < deadline:
        time.sleep(0.01)
    writer.close()
    (events, total) = heard[0]
    assert total == 1
    assert [kind for kind, _ in events] == ["span", "trace"]
    assert json.loads(events[0][1])["trace_id"] == f"{1:032x}"


def test_what_is_too_much_for_the_page_is_counted(tmp_path: Path) -> None:
    heard: list[tuple[str, str]] = []
    writer = StoreWriter(str(tmp_path / "db"), on_commit=heard.extend)
    writer.add_spans([a_span(1, number) for number in range(1, 5001)])
    writer.close()
    spans = sum(kind == "span" for kind, _ in heard)
    missing = sum(json.loads(data)["count"] for kind, data in heard if kind == "dropped")
    assert 0 < spans < 5000
    assert spans + missing >= 5000
