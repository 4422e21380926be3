"""The applications of the harness, read from `apps/`.

To add one, put an unmodified program there, as `apps/NAME.py` (or `apps/NAME/main.py` where it needs files beside it),
and say above its code, in comments, how it is started, what it is asked and how it ends. It is TOML, in the form that
PEP 723 has for scripts:

    # /// equality
    # command = ["uvicorn", "NAME:app", "--port", "{port}"]
    # requests = ["GET /", "POST /chat {}", {method = "PUT", path = "/x", headers = {a = "b"}, body = "c", repeat = 9}]
    # ///

Where there is no program of one's own, `apps/NAME.toml` or `apps/NAME/main.toml` says the same. That is all:
test_equality.py runs every one.

    command     the words of it; {port} is a free port, {here} the program's directory, {out} an empty one for its files
    requests    sent one after the other, then the GETs of them once more over one connection that is kept; the first is
                repeated until somebody listens. "WS /path text text" sends each text and reads one answer to each
    ready       for a program that serves nothing and is ended: what it prints when it is ready
    ends        "SIGTERM" (the default of what is asked or waited for), "SIGINT", or "itself"
    env         further variables
    needs       "venv": an environment of its own, into which `site-packages/` and `user-site/` beside the program are
                laid; "package:NAME": skipped where it is not installed. A redis-server is there at REDIS_URL for all
    spans       how many spans at least have to arrive at 100 % (default 1 for what is asked, else 0)
    silent      true: not one byte more than plain, and not one span
    cases       tables by name, each of which replaces some of the above: one program, started in several ways
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

APPS = Path(__file__).parent / "apps"
_BLOCK = re.compile(r"(?m)^# /// equality$\s(?P<content>(^#(| .*)$\s)+)^# ///$")


@dataclass(frozen=True)
class Request:
    """`repeat` says how often `body` is sent, for large ones."""

    method: str
    path: str
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    repeat: int = 1


@dataclass(frozen=True)
class App:
    """One application in one way of starting it."""

    name: str
    here: Path
    command: tuple[str, ...]
    requests: tuple[Request, ...] = ()
    ready: str = ""
    ends: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    spans: int = -1
    silent: bool = False
    case: int = 0
    """Of the cases that its program has, beginning with 0."""

    @property
    def ended_by(self) -> str:
        """The name of a signal; empty for a program that ends by itself."""
        named = self.ends or ("SIGTERM" if self.requests or self.ready else "itself")
        return "" if named == "itself" else named

    @property
    def spans_expected(self) -> int:
        return self.spans if self.spans >= 0 else int(bool(self.requests))


def all_apps(directory: Path = APPS) -> list[App]:
    """Every application below `directory`, by name. Raises ValueError for a description that has a mistake."""
    files = [
        *directory.glob("*.py"),
        *directory.glob("*/main.py"),
        *directory.glob("*.toml"),
        *directory.glob("*/main.toml"),
    ]
    return [app for path in sorted(files) for app in _described(path)]


def _described(path: Path) -> Iterator[App]:
    text = path.read_text()
    if path.suffix == ".py":
        block = _BLOCK.search(text)
        if block is None:
            raise ValueError(f"{path} has no block '# /// equality', which says how it is run")
        text = "".join(line.removeprefix("#").removeprefix(" ") for line in block["content"].splitlines(keepends=True))
    described = tomllib.loads(text)
    cases = described.pop("cases", {"": {}})
    name = path.parent.name if path.stem == "main" else path.stem
    for number, (case, changes) in enumerate(cases.items()):
        yield _app(f"{name}-{case}" if case else name, path.parent, number, {**described, **changes})


def _app(name: str, here: Path, number: int, described: dict[str, Any]) -> App:
    unknown = described.keys() - ({one.name for one in fields(App)} - {"name", "here", "case"})
    if unknown or "command" not in described:
        raise ValueError(f"{name}: {', '.join(sorted(unknown)) or 'command'} is {'unknown' if unknown else 'missing'}")
    described["requests"] = tuple(_request(one) for one in described.get("requests", ()))
    for each in ("command", "needs"):
        described[each] = tuple(described.get(each, ()))
    return App(name, here, case=number, **described)


def _request(described: str | dict[str, Any]) -> Request:
    if isinstance(described, str):
        method, path, *body = described.split(" ", 2)
        return Request(method, path, *body)
    return Request(**described)
