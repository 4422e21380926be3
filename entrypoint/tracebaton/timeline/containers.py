"""The logs of a compose project's containers, through the program `docker`."""

from __future__ import annotations

import json
import os
import re
import selectors
import subprocess
from contextlib import suppress
from pathlib import Path
from time import time_ns
from typing import IO, TYPE_CHECKING, NamedTuple, cast

from tracebaton.timeline.reader import LONGEST_LINE, STAMP
from tracebaton.timeline.sources import BLOCK, SourceError
from tracebaton.timeline.timestamps import to_ns

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["ComposeProject", "Container", "choose_project"]

# https://docs.docker.com/reference/compose-file/: the labels are the same in docker-compose 1.29 and Compose v2.
_LABEL = "com.docker.compose.project"
_FIELDS = (
    *(".ID", ".Names", ".Status"),
    *(f'(.Label "{name}")' for name in (_LABEL, "com.docker.compose.service", f"{_LABEL}.working_dir")),
)
_LIST = [
    *("docker", "ps", "--all", "--no-trunc", f"--filter=label={_LABEL}"),
    "--format=[" + ",".join(f"{{{{json {field}}}}}" for field in _FIELDS) + "]",
]
_COMPOSE_FILES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
_TOP_LEVEL_NAME = re.compile(r"""^name:[ \t]*(["']?)([a-z0-9][a-z0-9_-]*)\1[ \t]*(?:#.*)?$""", re.MULTILINE)
_STAMP = re.compile(STAMP)


class Container(NamedTuple):
    """A line of `docker ps`; `status` begins with `Up` while it runs."""

    id: str
    name: str
    status: str
    project: str
    service: str
    directory: str


class ComposeProject:
    """The containers of one project, stopped ones included."""

    def __init__(self, asked: str | None, since_ns: int | None) -> None:
        """Find the project; raises SourceError."""
        self._name = choose_project(_containers(), asked)
        self._since_ns = since_ns
        self._sources: dict[str, ContainerSource] = {}

    def sources(self) -> list[ContainerSource]:
        """The sources that are new since the last call, or whose container has started again; raises SourceError."""
        due = []
        for container in _containers():
            source = self._sources.get(container.id)
            if container.project != self._name:
                continue
            if source is None:
                self._sources[container.id] = source = ContainerSource(container, self._since_ns)
                due.append(source)
            elif source.has_ended and container.status.startswith("Up"):
                source.has_ended = False
                due.append(source)
        return sorted(due, key=lambda source: source.name)

    def close(self) -> None:
        """End what is still being read: a `docker logs --follow` would go on without us."""
        for source in self._sources.values():
            source.close()


class ContainerSource:
    """Yields lines in the form of `docker compose logs --timestamps`.

    The number behind the service is that of the stream, for lines of one do not cut a traceback on the other.
    """

    def __init__(self, container: Container, since_ns: int | None) -> None:
        self.name = container.name.split(",")[0]  # the others are what links call it
        self.service = container.service or self.name
        self.size: int | None = None
        self.consumed = 0
        self.has_ended = False  # after following it
        self._id = container.id
        self._since_ns = since_ns or 0  # moves on, so that a container that starts again is read on from where it was
        self._process: subprocess.Popen[bytes] | None = None
        self._said = b""

    def blocks(self, *, follow: bool) -> Iterator[bytes]:
        """With `follow`, ends when the container does."""
        began_ns = time_ns()
        command = ["docker", "logs", "--timestamps"]
        if self._since_ns > 0:
            command.append(f"--since={self._since_ns // 10**9}.{self._since_ns % 10**9:09}")
        if follow:
            command.append("--follow")
        pipe = subprocess.PIPE
        with subprocess.Popen([*command, self._id], stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe) as process:
            self._process = process
            try:
                for lines in filter(None, self._lines(process)):
                    yield lines
                    if self._since_ns > began_ns:
                        yield b""
            except BaseException:
                process.kill()
                raise
        if process.returncode:
            reason = self._said.decode(errors="replace").removeprefix("Error response from daemon: ")
            raise SourceError(f"cannot read the log of {self.name}: {reason or f'status {process.returncode}'}")
        self.has_ended = True

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()

    def _lines(self, process: subprocess.Popen[bytes]) -> Iterator[bytes]:
        with selectors.DefaultSelector() as selector:
            selector.register(cast("IO[bytes]", process.stdout), selectors.EVENT_READ, 1)
            selector.register(cast("IO[bytes]", process.stderr), selectors.EVENT_READ, 2)
            rest = {1: b"", 2: b""}
            while selector.get_map():
                for key, _ in selector.select():
                    block = os.read(key.fd, BLOCK)
                    self.consumed += len(block)
                    if not block:
                        selector.unregister(key.fileobj)
                        block = b"\n"  # the last line may have none
                    *lines, last = (rest[key.data] + block).split(b"\n")
                    rest[key.data] = last[: LONGEST_LINE + BLOCK]  # no more of it is read anyway
                    yield b"".join(self._labelled(lines, key.data))

    def _labelled(self, lines: Iterable[bytes], stream: int) -> Iterator[bytes]:
        stamp = None
        for line in lines:
            if found := _STAMP.match(line):
                stamp = found[1]
                yield b"%s-%d  | %s\n" % (self.service.encode(), stream, line)
            elif line:
                self._said = line  # the program itself, as the engine puts a time before whatever a container says
        if stamp:
            self._since_ns = max(self._since_ns, (to_ns(stamp.decode()) or 0) + 1)


def choose_project(containers: Sequence[Container], asked: str | None) -> str:
    """Return the project's name; raises SourceError if none fits.

    In this order: `asked`; COMPOSE_PROJECT_NAME; the project that was started in this directory or the nearest one
    above; the name that the compose file gives, or that Compose makes of the directory's.
    """
    known = sorted({each.project for each in containers})
    shown = ", ".join(known[:10]) + (", ..." if len(known) > 10 else "")
    which = f"projects with containers: {shown}; choose one with --project, or name log files"
    if not known:
        which = "there is none of any other project either"
    if named := asked or os.environ.get("COMPOSE_PROJECT_NAME"):
        if named not in known:
            raise SourceError(f"there is no container of the compose project {named!r}; {which}")
        return named
    directory = Path.cwd()
    for folder in (directory, *directory.parents):
        here = sorted(
            {each.project for each in containers if each.directory and os.path.realpath(each.directory) == str(folder)}
        )
        if len(here) > 1:
            raise SourceError(
                f"several compose projects were started in {folder}: {', '.join(here)}; choose one with --project"
            )
        if here:
            return here[0]
        if derived := _name_by_file(folder):
            if derived in known:
                return derived
            break  # Compose looks no further up than the first compose file
    raise SourceError(f"there is no container of a compose project of {directory}; {which}")


def _name_by_file(folder: Path) -> str | None:
    """The name that a compose file in this folder stands for; None if there is no such file."""
    for name in _COMPOSE_FILES:
        with suppress(OSError):
            text = (folder / name).read_text(encoding="utf-8", errors="replace")
            found = _TOP_LEVEL_NAME.search(text)
            return found[2] if found else re.sub(r"[^-_a-z0-9]", "", folder.name.lower()).lstrip("-_")
    return None


def _containers() -> list[Container]:
    """Those of all compose projects."""
    try:
        done = subprocess.run(_LIST, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
    except OSError as error:
        raise SourceError(
            f"reading containers needs the program docker, which cannot be started ({error.strerror}); "
            "name log files, or pipe `docker compose logs` into - (stdin)"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise SourceError("cannot reach Docker: it does not answer") from error
    if done.returncode:
        raise SourceError(f"cannot reach Docker: {' '.join(done.stderr.decode(errors='replace').split())}")
    return [Container(*json.loads(line)) for line in done.stdout.splitlines()]
