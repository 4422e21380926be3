"""The logs of a compose project's containers, through the Docker SDK."""

from __future__ import annotations

import os
import re
from importlib import import_module
from pathlib import Path
from time import time_ns
from typing import TYPE_CHECKING, Any

from tracebaton.timeline.project import PROJECT, SERVICE, choose_project
from tracebaton.timeline.sources import BLOCK, CAUGHT_UP, SourceError
from tracebaton.timeline.timestamps import to_ns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tracebaton.timeline.sources import Source

__all__ = ["ComposeProject", "ContainerSource"]

_STAMP = re.compile(rb"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{8,18}(?:Z|[+-][0-9]{2}:[0-9]{2}) ")
_PIECE = BLOCK // 2


class ComposeProject:
    """The containers of one project, stopped ones included; each has a source for stdout and one for stderr.

    Apart, because the engine sends long lines in pieces, and pieces of both streams could not be told from each other.
    """

    def __init__(self, asked: str | None, *, since_ns: int | None, until_ns: int | None) -> None:
        """Connect and find the project; raises SourceError."""
        self._client = _connect()
        self._since_ns = since_ns
        self._until_ns = until_ns
        self._followed: dict[tuple[str, str], ContainerSource] = {}
        labels = [each.attrs.get("Labels") or {} for each in self._list({"label": PROJECT}, sparse=True)]
        self.name = choose_project(labels, asked=asked, environ=os.environ, directory=Path.cwd())

    def sources(self) -> list[ContainerSource]:
        """Return the sources of all containers; raises SourceError."""
        found = []
        for container in self._list({"label": f"{PROJECT}={self.name}"}, sparse=False):
            is_tty = bool(container.attrs.get("Config", {}).get("Tty"))
            found += [
                ContainerSource(container, stream, self._since_ns, self._until_ns, is_tty=is_tty)
                for stream in (("stdout",) if is_tty else ("stdout", "stderr"))
            ]
        self._followed.update((source.key, source) for source in found)
        return sorted(found, key=lambda source: source.name)

    def newly_running(self) -> list[Source]:
        """Return sources for containers that have started since `sources`, or have started again, from where they were.

        Asked again and again: an engine that does not answer now may do so later, and those that are read go on.
        """
        followed = dict(self._followed)
        try:
            now = self.sources()
        except SourceError:
            return []
        new: list[Source] = []
        for source in now:
            before = followed.get(source.key)
            if before is None:
                new.append(source)
            elif before.has_ended and before.started_at != source.started_at:
                source.last_ns = before.last_ns
                new.append(source)
            else:
                self._followed[source.key] = before
        return new

    def _list(self, filters: dict[str, str], *, sparse: bool) -> list[Any]:
        containers: list[Any] = _told(
            "cannot list the containers",
            lambda: self._client.containers.list(all=True, filters=filters, sparse=sparse, ignore_removed=not sparse),
        )
        return containers


class ContainerSource:
    """One stream of one container: each line with the time at which the engine got it in front."""

    def __init__(
        self, container: Any, stream: str, since_ns: int | None, until_ns: int | None, *, is_tty: bool = False
    ) -> None:
        self.name = f"{container.name} ({stream})"
        self.service = str((container.labels or {}).get(SERVICE) or container.name)
        self.size: int | None = None
        self.consumed = 0
        self.key = (str(container.id), stream)
        self.is_running = container.status in {"running", "paused", "restarting"}
        self.started_at = str(container.attrs.get("State", {}).get("StartedAt", ""))
        self.has_ended = False  # after `follow`
        self.last_ns = 0  # the time of the last line, so that a container that starts again is read on from there
        self._container = container
        self._stream = stream
        self._since_ns = since_ns
        self._until_ns = until_ns
        self._is_tty = is_tty

    def blocks(self) -> Iterator[bytes]:
        pieces: list[bytes] = []
        size = 0
        for frame in self._frames(follow=False):
            pieces.append(frame)
            size += len(frame)
            if size >= _PIECE:
                yield b"".join(pieces)
                pieces.clear()
                size = 0
        yield b"".join(pieces)

    def follow(self) -> Iterator[bytes]:
        """Ends when the container does."""
        began_ns = time_ns()
        pieces: list[bytes] = []
        caught_up = False
        for frame in self._frames(follow=self.is_running):
            pieces.append(frame)
            if frame.endswith(b"\n") or len(pieces) >= 1000:
                yield b"".join(pieces)
                pieces.clear()
                if not caught_up and self.last_ns >= began_ns:
                    caught_up = True
                    yield CAUGHT_UP
        yield b"".join(pieces)
        self.has_ended = True

    def _frames(self, *, follow: bool) -> Iterator[bytes]:
        """Yield what the engine sends: a line, or the next piece of a long one, then without its time."""
        after_ns = self.last_ns
        since_ns = max(after_ns, self._since_ns or 0)
        what = f"cannot read the log of {self.name}"
        stream = _told(
            what,
            lambda: self._container.logs(
                stdout=self._stream == "stdout",
                stderr=self._stream == "stderr",
                stream=True,
                follow=follow,
                timestamps=True,
                since=since_ns / 1e9 if since_ns else None,
                # The engine's times are a little later than the line's own.
                until=self._until_ns / 1e9 + 60 if self._until_ns and not follow else None,
            ),
        )
        at_line_start = True
        frames = _lines(stream) if self._is_tty else iter(stream)
        while (frame := _told(what, lambda: next(frames, None))) is not None:
            self.consumed += len(frame)
            stamp = _STAMP.match(frame)
            text = frame
            if stamp:
                ns = to_ns(stamp[0].decode("ascii").strip()) or 0
                if ns <= after_ns:
                    continue  # shown before the container started again
                self.last_ns = max(self.last_ns, ns)
                if not at_line_start:
                    text = frame[stamp.end() :]
            yield text
            at_line_start = text.endswith(b"\n")


def _lines(stream: Iterable[bytes]) -> Iterator[bytes]:
    """Join what the SDK yields for a container with a terminal, single bytes, to lines, or pieces of very long ones."""
    line = bytearray()
    for piece in stream:
        line += piece
        if piece.endswith(b"\n") or len(line) >= _PIECE:
            yield bytes(line)
            line.clear()
    yield bytes(line)


def _connect() -> Any:
    try:
        from_env = import_module("docker").from_env
    except (ImportError, AttributeError) as error:  # AttributeError: a folder of this name on the path is a package too
        raise SourceError(
            "reading containers needs the Docker SDK, which is not installed: pip install 'tracebaton[docker]'; "
            "or name log files, or pipe `docker compose logs` into - (stdin)"
        ) from error
    return _told("cannot reach Docker", from_env)


def _told(what: str, do: Callable[[], Any]) -> Any:
    """Return what `do` does; whatever the SDK and the libraries below it raise becomes a sentence."""
    try:
        return do()
    except Exception as error:  # the SDK lets errors of requests and urllib3 through, and has its own
        raise SourceError(f"{what}: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    """The system's error at the bottom, with the socket where it helps, or what the engine said."""
    if system_error := _system_error(error):
        where = os.environ.get("DOCKER_HOST") or "/var/run/docker.sock"
        hint = {
            PermissionError: "; add yourself to the group docker, or run this with more rights",
            FileNotFoundError: "; is Docker running? DOCKER_HOST says where else it is",
            ConnectionRefusedError: "; is Docker running?",
        }.get(type(system_error), "")
        return f"{system_error.strerror or system_error} ({where}){hint}"
    explanation = getattr(error, "explanation", None)
    return " ".join(str(explanation or error or type(error).__name__).split())


def _system_error(error: BaseException) -> OSError | None:
    """Of the exceptions that this one was made of, the one of the operating system."""
    todo = [error]
    seen: set[int] = set()
    while todo and len(seen) < 50:
        each = todo.pop(0)
        seen.add(id(each))
        if isinstance(each, OSError) and each.errno:
            return each
        inner = [*each.args, each.__cause__, each.__context__]
        todo += [more for more in inner if isinstance(more, BaseException) and id(more) not in seen]
    return None
