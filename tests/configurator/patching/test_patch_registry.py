"""What becomes of a patch: applied, waiting for its library, declined where reality differs, or not wanted."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

import tracebaton_configurator
from tracebaton_configurator.patching import registry
from tracebaton_configurator.patching.catalogue import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(autouse=True)
def declined(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    said: list[str] = []
    monkeypatch.setattr(registry, "_outcomes", {})
    monkeypatch.setattr(registry, "on_declined", lambda patch, reason: said.append(f"{patch.name}: {reason}"))
    yield said
    registry.disable(())


def test_one_that_fits(declined: list[str]) -> None:
    library = SimpleNamespace(do="theirs")
    assert registry.apply("httpx", lambda: setattr(library, "do", "ours"))
    assert library.do == "ours"
    assert registry.outcome("httpx") == ("applied", "")
    assert declined == []


def test_one_that_raises_declines(declined: list[str]) -> None:
    assert not registry.apply("httpx", lambda: 1 // 0)
    assert registry.outcome("httpx") == ("declined", "ZeroDivisionError: integer division or modulo by zero")
    assert declined == ["httpx: ZeroDivisionError: integer division or modulo by zero"]


def test_one_that_finds_nothing_declines() -> None:
    assert not registry.apply("httpx", lambda: False)
    assert registry.outcome("httpx").reason.endswith("is not there")


class Base:
    do = "theirs"

    @staticmethod
    def make() -> str:
        return "theirs"


class Library(Base):
    @staticmethod
    def make() -> str:
        return "theirs, too"


@pytest.mark.parametrize("end", [lambda: False, lambda: 1 // 0])
def test_one_that_declines_half_way_leaves_nothing(end: Callable[[], object]) -> None:
    before, done = dict(vars(Library)), []

    def replace() -> object:
        registry.put(Library, "do", "ours")
        registry.put(Library, "make", lambda _: "ours")
        registry.put(Library, "make", lambda _: "ours again")
        registry.put(Library, "more", "ours")
        registry.undo_with(lambda: done.append("undone"))
        assert registry.apply("httpx-client", lambda: registry.put(Base, "also", "ours"))
        return end()

    try:
        assert not registry.apply("httpx", replace)
        assert dict(vars(Library)) == before
        assert done == ["undone"]
        assert vars(Base)["also"] == "ours"  # of another, which has been applied
    finally:
        del Base.also  # type: ignore[attr-defined]


def test_one_that_fits_keeps_what_it_has_put() -> None:
    library = SimpleNamespace(do="theirs")
    assert registry.apply("httpx", lambda: registry.put(library, "do", "ours"))
    assert library.do == "ours"


def test_one_that_is_not_wanted() -> None:
    registry.disable({"httpx"})
    assert not registry.apply("httpx", lambda: pytest.fail("it was not to be applied"))
    assert registry.outcome("httpx").status == "disabled"


def test_one_that_waits() -> None:
    registry.apply_on_import("httpx", "a_library_that_is_not_there", lambda module: None)
    assert registry.outcome("httpx").status == "waiting"


def test_only_what_is_in_the_catalogue() -> None:
    with pytest.raises(KeyError):
        registry.apply("something else", lambda: None)
    assert all(name == patch.name for name, patch in CATALOGUE.items())
    assert list(CATALOGUE) == sorted(CATALOGUE)


def test_what_is_imported_later_is_there() -> None:
    root = Path(tracebaton_configurator.__file__).parent
    found = [
        pair for path in root.rglob("*.py") for pair in re.findall(r'later\("([\w.]+)", "(\w+)"\)', path.read_text())
    ]
    assert len(found) >= 10
    for module, function in found:
        assert callable(getattr(import_module(f"tracebaton_configurator.{module}"), function))
