"""What the demo prints: its progress, trace trees, log lines and the summary; plain text when it is piped."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from checks import Claim
from rich.console import Console
from rich.json import JSON
from rich.text import Text

from tracebaton.view.render import render
from tracebaton.view.spans import Span
from tracebaton.view.store import Trace

# How much is shown of a long log field, at its two ends: a traceback is longer than all the rest together.
HEAD, TAIL = 60, 240


class Report:
    def __init__(self) -> None:
        self._console = Console(highlight=False)

    def title(self, text: str) -> None:
        self._console.print()
        self._console.print(Text(text, "bold"), soft_wrap=True)

    def line(self, text: str) -> None:
        self._console.print(text, soft_wrap=True, markup=False)

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Say what goes on, and how long it took."""
        started = time.monotonic()
        with self._console.status(what):
            yield
        self._console.print(f"{time.monotonic() - started:5.1f} s  {what}", soft_wrap=True, markup=False)

    def tree(self, title: str, spans: Sequence[Span]) -> None:
        self.title(title)
        if spans:
            self.trace(Trace(spans[0].trace_id, tuple(spans)))
        else:
            self.line("no span of it was received")

    def trace(self, trace: Trace) -> None:
        self._console.print(render(trace, ascii_only=self._console.options.ascii_only), soft_wrap=True, end="")

    def logs(self, trace_id: str, logs: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        """The lines of one trace, those of all services in one order."""
        self.title(f"What {', '.join(logs)} logged about it, in order (long values shortened)")
        lines = [line for service in logs.values() for line in service if line.get("trace_id") == trace_id]
        for line in sorted(lines, key=lambda line: str(line["timestamp"])):
            shown = {name: _shortened(value) for name, value in line.items()}
            self._console.print(JSON(json.dumps(shown, ensure_ascii=False), indent=None), soft_wrap=True)

    def summary(self, claims: Sequence[Claim], *, sent: int, spans: Sequence[Span]) -> None:
        """A table of figures and claims; `sent`: how many requests, each of which is to give a trace."""
        rows = [
            ("traces sent", Text(str(sent))),
            ("spans received", Text(f"{len(spans)} in {len({span.trace_id for span in spans})} traces")),
            *((claim.text, _answer(claim)) for claim in claims),
        ]
        width = max(len(what) for what, _ in rows)
        self.title("Summary")
        for what, answer in rows:
            self._console.print(Text(f"  {what:{width}}  ").append_text(answer), soft_wrap=True)

    def what_to_try(self, commands: Sequence[str]) -> None:
        self.title("Everything keeps running until Ctrl-C, and new traces appear here. To try in another terminal")
        for command in commands:
            self.line(f"  {command}")
        self.line("")

    def failed(self, error: Exception) -> None:
        self._console.print(Text(f"failed: {error}", "bold red"), soft_wrap=True)


def _answer(claim: Claim) -> Text:
    return Text("yes", "green") if claim.holds else Text(f"no: {claim.problem}", "bold red")


def _shortened(value: object) -> object:
    if not isinstance(value, str) or len(value) <= HEAD + TAIL:
        return value
    return f"{value[:HEAD]} ... {value[-TAIL:]}"
