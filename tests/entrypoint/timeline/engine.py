"""The few calls of the Docker Engine API that reading logs takes, on a unix socket: real HTTP for the real `docker`.

It answers as Engine 20.10 was seen to, see https://docs.docker.com/reference/api/engine/. Each log entry is a frame of
its own, with its time in front if asked for; one of more than 16 KiB comes as several, each of them with the time.
"""

from __future__ import annotations

import json
import socketserver
import struct
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from pathlib import Path

    from typing_extensions import Self

_PIECE = 16384


@dataclass
class Container:
    """`logs` are (stream, time, text) in order; times are RFC 3339 with nanoseconds."""

    name: str
    service: str
    project: str = "shop"
    directory: str = "/elsewhere"
    running: bool = False
    tty: bool = False
    starts: int = 1
    unreadable: str = ""
    logs: list[tuple[str, str, str]] = field(default_factory=list)

    @property
    def id(self) -> str:
        return self.name.encode().hex().ljust(64, "0")

    @property
    def labels(self) -> dict[str, str]:
        return {
            "com.docker.compose.project": self.project,
            "com.docker.compose.service": self.service,
            "com.docker.compose.project.working_dir": self.directory,
        }


class Engine:
    """Serves as long as the `with` block lasts; `url` is what DOCKER_HOST takes."""

    def __init__(self, directory: Path, *containers: Container) -> None:
        self.containers = list(containers)
        self.changed = threading.Condition()
        self.closing = False
        self.url = f"unix://{directory}/engine.sock"
        self._server = _Server(f"{directory}/engine.sock", _Handler)
        self._server.engine = self

    def log(self, container: Container, stream: str, time: str, text: str) -> None:
        with self.changed:
            container.logs.append((stream, time, text))
            self.changed.notify_all()

    def restart(self, container: Container) -> None:
        with self.changed:
            container.starts += 1
            self.changed.notify_all()

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with self.changed:
            self.closing = True
            self.changed.notify_all()
        self._server.shutdown()
        self._server.server_close()


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    block_on_close = False
    engine: Engine


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server  # type: ignore[assignment]

    def address_string(self) -> str:
        return "unix"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class has it)
        pass

    def do_HEAD(self) -> None:  # /_ping
        self.send_response(200)
        self.send_header("Api-Version", "1.41")
        self.end_headers()

    def do_GET(self) -> None:
        engine = self.server.engine
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        parts = url.path.strip("/").split("/")
        if parts[-2:] == ["containers", "json"]:
            wanted = json.loads(query.get("filters", "{}")).get("label", [])
            self._json([_summary(each) for each in engine.containers if all(_has(each, label) for label in wanted)])
        else:
            container = next((each for each in engine.containers if each.id in parts), None)
            if container is None:
                self._json({"message": "No such container"}, 404)
            elif parts[-1] == "json":
                self._json(_details(container))
            elif container.unreadable:
                self._json({"message": container.unreadable}, 501)
            else:
                self._logs(container, query)

    def _logs(self, container: Container, query: dict[str, str]) -> None:
        engine = self.server.engine
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        since = float(query.get("since", 0))
        number = 0
        starts = container.starts
        while True:
            with engine.changed:
                if number == len(container.logs):
                    goes_on = container.running and container.starts == starts and not engine.closing
                    if query.get("follow") != "1" or not goes_on:
                        break
                    engine.changed.wait()
                    continue
                stream, time, text = container.logs[number]
            number += 1
            if query.get(stream) == "1" and _seconds(time) >= since:
                for start in range(0, len(text), _PIECE):
                    self._frame(container, stream, f"{time} ".encode() + text[start : start + _PIECE].encode())
        self.wfile.write(b"0\r\n\r\n")

    def _frame(self, container: Container, stream: str, data: bytes) -> None:
        if not container.tty:
            data = struct.pack(">BxxxL", {"stdout": 1, "stderr": 2}[stream], len(data)) + data
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def _json(self, value: Any, status: int = 200) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _has(container: Container, label: str) -> bool:
    name, equals, value = label.partition("=")
    return container.labels.get(name) == value if equals else name in container.labels


def _summary(container: Container) -> dict[str, Any]:
    return {
        "Id": container.id,
        "Names": [f"/{container.name}"],
        "Labels": container.labels,
        "Status": "Up 2 minutes" if container.running else "Exited (0) 2 minutes ago",
    }


def _details(container: Container) -> dict[str, Any]:
    return {
        "Id": container.id,
        "Name": f"/{container.name}",
        "Config": {"Tty": container.tty, "Labels": container.labels, "Image": "python"},
        "HostConfig": {"LogConfig": {"Type": "json-file", "Config": {}}},
    }


def _seconds(time: str) -> float:
    hours, minutes, seconds = time[11:].rstrip("Z").split(":")
    return 1795305600 + int(hours) * 3600 + int(minutes) * 60 + float(seconds)  # from 2026-11-22T00:00:00Z
