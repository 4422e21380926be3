"""A `logging` that each test may set up as an application would, put back afterwards."""

from __future__ import annotations

import io
import json
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from tracebaton_configurator.logs import hook, standard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Log:
    """A stream that a handler under test writes to."""

    def __init__(self) -> None:
        self.stream = io.StringIO()
        self.logger = logging.Logger("app", logging.DEBUG)  # not registered: no other test sees it

    def handler(self, formatter: logging.Formatter | None = None) -> logging.Handler:
        handler = logging.StreamHandler(self.stream)
        handler.setFormatter(formatter)
        self.logger.addHandler(handler)
        return handler

    @property
    def lines(self) -> list[str]:
        return self.stream.getvalue().splitlines()

    @property
    def objects(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]


@pytest.fixture(autouse=True)
def any_stream_is_stdout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Streams of tests stand for the process's; test_standard.py is about those that do not."""
    monkeypatch.setattr(standard, "is_standard", lambda _: True)
    monkeypatch.setattr(standard, "is_in_memory", lambda _: False)


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def install() -> Iterator[Callable[..., None]]:
    undo: list[Callable[[], None]] = []
    yield lambda mode, extras="masked": undo.append(hook.install(mode, "shop", extras))
    for one in undo:
        one()
