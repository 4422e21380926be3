"""A job that calls over httpx, sync and async, and over the standard library, with failures."""

# /// equality
# command = ["python", "http_clients.py"]
# ///

import asyncio
import http.server
import socket
import threading
import urllib.error
import urllib.request

import httpx


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status = {"/redirect": 302, "/missing": 404}.get(self.path, 200)
        self.send_response(status)
        self.send_header("Location", "/there")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        """Requests that are under way together are logged in any order."""


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}"
with httpx.Client(follow_redirects=True) as client:
    for path in ("/", "/redirect", "/missing"):
        answer = client.get(url + path)
        print(path, answer.status_code, answer.text, [one.status_code for one in answer.history])
with socket.socket() as nobody:
    nobody.bind(("127.0.0.1", 0))
    try:
        httpx.get(f"http://127.0.0.1:{nobody.getsockname()[1]}")
    except httpx.ConnectError as error:
        print(type(error), error)


async def several() -> None:
    async with httpx.AsyncClient() as client:
        answers = await asyncio.gather(*(client.get(f"{url}/{number}") for number in range(5)))
        print([answer.status_code for answer in answers])
        async with client.stream("GET", url) as answer:
            print([chunk async for chunk in answer.aiter_bytes()])


asyncio.run(several())
try:
    urllib.request.urlopen(f"{url}/missing")
except urllib.error.HTTPError as error:
    print(error, error.read())
server.shutdown()
server.server_close()
