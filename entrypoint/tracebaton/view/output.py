"""How `tracebaton view` prints: a tree for each finished trace."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.text import Text

from tracebaton.view.render import render_lines

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tracebaton.view.spans import Span
    from tracebaton.view.store import Trace, TraceStore

__all__ = ["TreeOutput"]

# Characters that are prepared for the stream at once.
_PART = 65536


class TreeOutput:
    """Holds spans in a store and prints each trace that leaves it. Every method of an output may raise OSError."""

    def __init__(self, store: TraceStore, stream: TextIO) -> None:
        self._store = store
        self._stream = stream
        # Decides about colour (a terminal, NO_COLOR, TERM) and encoding; what it renders is written here, because
        # Console.print meets a closed pipe with an exit status of its own.
        self._console = Console(file=stream, highlight=False, markup=False, emoji=False)

    def add(self, spans: list[Span]) -> None:
        """Take these in, of which there may be none, and print what is due."""
        self._print([*self._store.add(spans), *self._store.pop_quiet()])

    def seconds_until_due(self) -> float | None:
        """None: nothing will become due unless a span arrives."""
        return self._store.seconds_until_quiet()

    def finish(self, spans: list[Span]) -> None:
        """Print these and what is still held."""
        self._print([*self._store.add(spans), *self._store.pop_all()])

    def _print(self, traces: Iterable[Trace]) -> None:
        for trace in traces:
            part = Text()
            for line in render_lines(trace, ascii_only=self._console.options.ascii_only):
                part.append_text(line)
                if len(part) > _PART:
                    self._write(part)
                    part = Text()
            self._write(part.append("\n"))  # an empty line
            self._stream.flush()

    def _write(self, text: Text) -> None:
        with self._console.capture() as captured:
            # soft_wrap: a line is never broken or cut.
            self._console.print(text, soft_wrap=True, end="")
        encoding = self._stream.encoding or "utf-8"
        self._stream.write(captured.get().encode(encoding, "backslashreplace").decode(encoding))
