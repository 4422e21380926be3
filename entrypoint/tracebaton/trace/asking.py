"""Where the answers come from: the page of a running viewer, or the file of one. Both give the same objects."""

from __future__ import annotations

import http.client
import json
import sqlite3
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlencode

from tracebaton.store.reader import AskError, Reader
from tracebaton.store.schema import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["CannotAskError", "NotFoundError", "Traces", "from_file", "from_viewer"]

_SECONDS = 10.0


class CannotAskError(Exception):
    """A sentence without a full stop."""


class NotFoundError(Exception):
    """The same, of a trace that is not there."""


class Traces(Protocol):
    """Raises CannotAskError and NotFoundError."""

    def traces(self, asked: Mapping[str, str]) -> dict[str, Any]: ...

    def trace(self, trace_id: str) -> dict[str, Any]: ...

    def compare(self, trace_id: str) -> dict[str, Any]: ...


def from_file(path: str) -> Traces:
    try:
        return _File(path)
    except StoreError as error:
        raise CannotAskError(str(error)) from error


def from_viewer(port: int) -> Traces:
    return _Viewer(port)


class _File:
    def __init__(self, path: str) -> None:
        self._reader = Reader(path)

    def traces(self, asked: Mapping[str, str]) -> dict[str, Any]:
        return _asked(lambda: self._reader.traces(asked))

    def trace(self, trace_id: str) -> dict[str, Any]:
        return _asked(lambda: self._reader.trace(trace_id))

    def compare(self, trace_id: str) -> dict[str, Any]:
        return _asked(lambda: self._reader.compare(trace_id))


def _asked(ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return ask()
    except AskError as error:
        raise NotFoundError(str(error)) from error
    except (StoreError, sqlite3.Error) as error:
        raise CannotAskError(f"the file cannot be read: {error}") from error


class _Viewer:
    """Without proxies of the environment, which could not reach this machine's loopback address."""

    def __init__(self, port: int) -> None:
        self._port = port

    def traces(self, asked: Mapping[str, str]) -> dict[str, Any]:
        return self._get(f"/api/traces?{urlencode(asked)}")

    def trace(self, trace_id: str) -> dict[str, Any]:
        return self._get(f"/api/trace/{trace_id}")

    def compare(self, trace_id: str) -> dict[str, Any]:
        return self._get(f"/api/compare/{trace_id}")

    def _get(self, path: str) -> dict[str, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_SECONDS)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            document = json.loads(answer.read())
        except ConnectionRefusedError as error:
            raise CannotAskError(
                f"no tracebaton view answers on 127.0.0.1:{self._port}; start one, or name its file with --db"
            ) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise CannotAskError(f"what answers on 127.0.0.1:{self._port} is no tracebaton view: {error}") from error
        finally:
            connection.close()
        if not isinstance(document, dict) or (answer.status == 200 and "error" in document):
            raise CannotAskError(f"what answers on 127.0.0.1:{self._port} is no tracebaton view")
        if answer.status != 200:
            sentence = str(document.get("error", f"status {answer.status}"))
            raise NotFoundError(sentence) if answer.status == 404 else CannotAskError(sentence)
        return document
