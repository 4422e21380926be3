"""What is sent to an application, and every byte that it answers."""

from __future__ import annotations

import http.client
import socket
from typing import TYPE_CHECKING

from processes import HOST

if TYPE_CHECKING:
    from equality_apps import Request

_PATIENCE = 60.0


def ask(port: int, request: Request) -> bytes:
    """The answer as it is on the wire, head, framing and body. Raises OSError where nobody listens."""
    if request.method == "WS":
        return _talk(port, request)
    body = request.body.encode() * request.repeat
    headers = {"Host": "equality", "Connection": "close", **request.headers}
    if body:
        headers["Content-Length"] = str(len(body))
    lines = [f"{request.method} {request.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    with socket.create_connection((HOST, port), _PATIENCE) as client:
        client.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        return b"".join(iter(lambda: client.recv(65536), b""))


def ask_over_one_connection(port: int, requests: list[Request]) -> list[bytes]:
    """Status, headers and body of each; a connection that the server closes is an answer, too."""
    connection = http.client.HTTPConnection(HOST, port, timeout=_PATIENCE)
    answers = []
    try:
        for request in requests:
            connection.request(request.method, request.path, headers={"Host": "equality", **request.headers})
            response = connection.getresponse()
            head = "".join(f"{name}: {value}\n" for name, value in response.getheaders())
            answers.append(f"{response.status} {response.reason}\n{head}\n".encode() + response.read())
    except (OSError, http.client.HTTPException):
        answers.append(b"(the connection ends)")  # by FIN or by RST, as it happens
    finally:
        connection.close()
    return answers


def _talk(port: int, request: Request) -> bytes:
    """Each text and what comes back; then how the connection was closed."""
    from websockets.exceptions import ConnectionClosed, InvalidStatus
    from websockets.sync.client import connect

    heard: list[bytes] = []
    try:
        with connect(f"ws://{HOST}:{port}{request.path}", open_timeout=_PATIENCE, proxy=None) as talk:
            for text in request.body.split():
                talk.send(text)
                answer = talk.recv(_PATIENCE)
                heard.append(answer.encode() if isinstance(answer, str) else answer)
    except ConnectionClosed as error:
        heard.append(repr(error.rcvd).encode())
    except InvalidStatus as error:
        heard.append(f"{error.response.status_code} ".encode() + (error.response.body or b""))
    return b"\n".join(heard)
