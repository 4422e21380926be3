"""Writes what was measured last into README.md and docs/performance.md: python bench/publish.py

Between the marks `<!-- bench: start -->` and `<!-- bench: end -->`; nothing else of the two is touched.
"""

from __future__ import annotations

import re
from pathlib import Path

import table
from contenders import BARE
from results import Results

ROOT = Path(__file__).resolve().parents[1]
LATEST = ROOT / "bench" / "results" / "latest.json"
PYTHON_3_13 = ROOT / "bench" / "results" / "python-3-13.json"
_MARKED = re.compile(r"(<!-- bench: start -->\n).*?(<!-- bench: end -->)", re.DOTALL)
SHOWN = (
    *("bare", "bare, sniffio", "tracebaton 10 %", "tracebaton 100 %", "tracebaton disabled"),
    *("upstream 10 %", "upstream 100 %", "dash0 10 %", "elastic 10 %", "logfire 10 %", "ddtrace 10 %"),
)


def main() -> None:
    results = Results.read(LATEST)
    _put(ROOT / "README.md", _short(results))
    _put(ROOT / "docs" / "performance.md", _long(results))


def _put(path: Path, text: str) -> None:
    before = path.read_text(encoding="utf-8")
    path.write_text(_MARKED.sub(lambda found: f"{found[1]}{text}\n{found[2]}", before), encoding="utf-8")


def _short(results: Results) -> str:
    rows = [[name, *_cells(results, name)] for name in SHOWN if results.reading(name, "hello")]
    head = ["", "`GET /hello`", "`POST /chat`", "p99 of `/hello`", "start-up CPU", "memory at start"]
    return (
        "CPU of the server process per request, as a ratio to bare uvicorn (`POST /chat` is one Redis command and one\n"
        f"call over httpx); latency at {table.RATE} requests a second; a start. From `make bench`,\n"
        f"{_where(results)}.\n\n"
        f"{table.grid(head, rows)}"
    )


def _cells(results: Results, name: str) -> list[str]:
    reading = results.reading(name, "hello")
    if name == BARE:
        cpu = [
            f"{one.cpu:.0f} µs" if (one := results.reading(name, each)) else table.NONE for each in ("hello", "chat")
        ]
    else:
        ratios = [results.ratio(name, each) for each in ("hello", "chat")]
        cpu = [table.NONE if ratio is None else f"{ratio:.2f}" for ratio in ratios]
    late = results.latency(name, 1) if name == BARE else results.latency_ratio(name, 1)
    p99 = table.NONE if late is None else f"{late:.0f} µs" if name == BARE else f"{late:.2f}"
    start, bare = results.start(name), results.start(BARE)
    if reading is None or start is None or bare is None:
        return [*cpu, p99, table.NONE, table.NONE]
    return [*cpu, p99, *table.start_cells(results, name)[:2]]


def _where(results: Results) -> str:
    machine = results.machine
    return f"{machine['date']}, {machine['cores']}, {machine['python']}"


def _long(results: Results) -> str:
    """The whole of it, below the page's own headings, with the other Python's."""
    text = table.markdown(results)
    if PYTHON_3_13.exists():
        other = Results.read(PYTHON_3_13)
        text += (
            f"\n### {other.machine['python']}: CPU per request, as a ratio to the bare server\n\n{table.cpu(other)}\n"
        )
    return text


if __name__ == "__main__":
    main()
