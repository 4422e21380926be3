"""Values in the form that JSON users expect, and levels without colours."""

from __future__ import annotations

import dataclasses
import enum
import json
import logging
import pathlib
import sys
import uuid
from datetime import datetime, timezone
from decimal import Decimal
from types import ModuleType
from typing import Any

import pytest

from tracebaton_configurator.logs.formatter import JsonLines

SECRET = "hunter2"  # noqa: S105


class Colour(enum.Enum):
    RED = "red"


class Rank(enum.IntEnum):
    FIRST = 1


@dataclasses.dataclass
class Order:
    number: int
    total: Decimal
    password: str = SECRET
    card: str = dataclasses.field(default=SECRET, repr=False)


@dataclasses.dataclass
class Hiding:
    card: str = SECRET

    def __repr__(self) -> str:
        return "Hiding(***)"


class HidingPath(pathlib.PurePosixPath):
    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__


UUID = uuid.UUID("0af76519-16cd-43dd-8448-eb211c80319c")
VALUES: dict[str, tuple[Any, Any]] = {
    "UUID": (UUID, str(UUID)),
    "Decimal": (Decimal("1.50"), "1.50"),
    "Enum": (Colour.RED, "red"),
    "IntEnum": (Rank.FIRST, 1),
    "path": (pathlib.PurePosixPath("/a/b"), "/a/b"),
    "datetime": (datetime(2026, 11, 22, 17, 28, tzinfo=timezone.utc), "2026-11-22T17:28:00+00:00"),
    "NaN": (float("nan"), None),
    "infinity": (float("-inf"), None),
    "a large number": (2**63, 2**63),
    "nested": ({"ids": [UUID], "by": {Colour.RED: (Decimal(1),)}}, {"ids": [str(UUID)], "by": {"red": ["1"]}}),
    "NaN beside others": ([1.5, float("nan"), UUID], [1.5, None, str(UUID)]),
    "dataclass": (Order(7, Decimal(2)), {"number": 7, "total": "2", "password": "[masked]"}),
    "a repr of its own": (Hiding(), "Hiding(***)"),
    "a path that hides": (HidingPath("/hunter2"), "***"),
    "a secret in a path": (pathlib.PurePosixPath("x?password=hunter2"), "x?password=[masked]"),
}


def line(**extra: Any) -> dict[str, Any]:
    made = logging.LogRecord("app", logging.INFO, "file.py", 1, "x", (), None)
    made.__dict__.update(extra)
    fields: dict[str, Any] = json.loads(JsonLines("shop").format(made), parse_constant=pytest.fail)
    return fields


@pytest.mark.parametrize("name", VALUES)
def test_values(name: str) -> None:
    value, expected = VALUES[name]
    fields = line(k=value)
    assert fields["k"] == expected
    assert SECRET not in json.dumps(fields)
    assert line(msg={"message": "x", "k": value})["k"] == expected


def test_an_object_that_leads_to_itself() -> None:
    @dataclasses.dataclass
    class Node:
        to: list[Any] = dataclasses.field(default_factory=list)

    node = Node()
    node.to = [node, node]
    assert line(k=node)["k"] == {"to": ["...", "..."]}


def test_objects_that_refer_to_each_other_are_written_in_bounds() -> None:
    """As many ways lead through eight of them as no line could hold."""

    @dataclasses.dataclass
    class Node:
        to: list[Any] = dataclasses.field(default_factory=list)

    nodes = [Node() for _ in range(8)]
    for node in nodes:
        node.to = nodes
    assert len(json.dumps(line(k=nodes[0]))) < 100_000


def test_a_field_that_an_inherited_repr_does_not_show_stays_hidden() -> None:
    @dataclasses.dataclass
    class Shown:
        name: str

    @dataclasses.dataclass(repr=False)
    class Hiding(Shown):
        iban: str

    assert "DE-HIDDEN" not in json.dumps(line(k=Hiding("n", "DE-HIDDEN")))


class Generic:
    """What `numpy` has of scalars and arrays, as far as it is asked here."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def item(self) -> Any:
        return self.value


class NdArray:
    def __init__(self, value: list[Any]) -> None:
        self.value, self.size = value, len(value)

    def tolist(self) -> list[Any]:
        return self.value


def test_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    numpy: Any = ModuleType("numpy")
    numpy.generic, numpy.ndarray, numpy.datetime64, numpy.timedelta64 = Generic, NdArray, NdArray, NdArray
    numpy.datetime64 = numpy.timedelta64 = type("datetime64", (Generic,), {})
    monkeypatch.setitem(sys.modules, "numpy", numpy)
    monkeypatch.setattr(Generic, "__module__", "numpy")
    monkeypatch.setattr(NdArray, "__module__", "numpy")
    assert line(a=Generic(1.5), b=NdArray([1, 2]), c=[Generic(2)]).items() >= {"a": 1.5, "b": [1, 2], "c": [2]}.items()
    assert "NdArray" in line(k=NdArray([0] * 5000))["k"]


def test_pydantic() -> None:
    from pydantic import BaseModel, Field, SecretStr

    class Inner(BaseModel):
        card: str = Field(default=SECRET, repr=False)
        left_out: str = Field(default=SECRET, exclude=True)
        pin: SecretStr = SecretStr(SECRET)

    class Own(BaseModel):
        card: str = SECRET

        def __repr__(self) -> str:
            return "***"

    class Model(BaseModel):
        number: UUID_TYPE = UUID
        token: str = SECRET
        note: str = "password=hunter2"
        inner: Inner = Inner()
        own: Own = Own()

    assert line(k=Model())["k"] == {
        "number": str(UUID),
        "token": "[masked]",
        "note": "password=[masked]",
        "inner": {"pin": "**********"},
        "own": "***",
    }


UUID_TYPE = uuid.UUID


@pytest.mark.parametrize("level", ["\x1b[31mERROR\x1b[0m", "\x1b[1;38;5;9mERROR   \x1b[m", "ERROR   "])
@pytest.mark.parametrize("message", ["x", {"message": "x"}])
def test_a_level_has_no_colour(level: str, message: object) -> None:
    assert line(levelname=level, msg=message)["level"] == "ERROR"
