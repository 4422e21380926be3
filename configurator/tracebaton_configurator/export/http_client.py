"""OTLP over HTTP with protobuf: one POST a batch over HTTP/1.1, which the package h11 knows.

https://opentelemetry.io/docs/specs/otlp/#otlphttp
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import h11

from tracebaton_configurator._version import __version__
from tracebaton_configurator.export.address import Address
from tracebaton_configurator.export.export_result import ExportResult, no_answer, of_http

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracebaton_configurator.export.connection import Connection
    from tracebaton_configurator.settings.endpoint import Endpoint

    Deadline = Callable[[], float]

_LONGEST_ANSWER = 1 << 20


class HttpClient:
    """Sends batches, one at a time, over a connection that stays open between them."""

    def __init__(self, endpoint: Endpoint) -> None:
        address = self._address = Address(endpoint, 80)
        # A plaintext request is for the proxy itself to read; everything else goes through a tunnel.
        self._tunnel = address.scheme == "https"
        self._target = address.path or "/"
        head = {
            "host": address.authority,
            "content-type": "application/x-protobuf",
            "user-agent": f"tracebaton/{__version__}",
        }
        if endpoint.compression != "none":
            head["content-encoding"] = endpoint.compression
        if address.credentials:
            head["authorization"] = address.credentials
        if address.proxy and not self._tunnel:
            self._target = f"{address.scheme}://{address.authority}{self._target}"
            if address.proxy_credentials:
                head["proxy-authorization"] = address.proxy_credentials
        head.update(endpoint.headers)
        self._head = [(name.encode(), value.encode()) for name, value in head.items()]
        self._connection: Connection | None = None
        self._http = h11.Connection(h11.CLIENT)

    def send(self, payload: bytes, deadline: Deadline) -> ExportResult:
        """Send one ExportTraceServiceRequest; `deadline` says how many seconds are left. Does not raise."""
        payload = self._address.compressed(payload)
        while True:
            reused = self._connection is not None
            try:
                result = self._post(self._open(deadline), payload, deadline)
            except h11.LocalProtocolError:  # quotes the header, with its secret value
                self.close()
                return no_answer("HTTP does not allow such a request; look at the headers and the path that were set")
            except (OSError, h11.ProtocolError) as error:
                self.close()
                if isinstance(error, h11.ProtocolError):
                    return no_answer(f"what answers there does not speak HTTP/1.1 ({error})", self._address.hide)
                if reused and not isinstance(error, TimeoutError):
                    continue  # a connection that has been idle may have died unnoticed: a new one decides
                return no_answer(str(error) or type(error).__name__, self._address.hide, error)
            http = self._http
            # What came behind an answer must not be taken for the next one.
            if http.our_state is h11.DONE and http.their_state is h11.DONE and not http.trailing_data[0]:
                http.start_next_cycle()
            else:
                self.close()
            return result

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _open(self, deadline: Deadline) -> Connection:
        if self._connection is not None:
            try:
                if self._connection.receive_now() is not None:  # closed, or something that nobody asked for
                    self.close()
            except OSError:
                self.close()
        if self._connection is None:
            self._connection = self._address.connect(["http/1.1"], deadline, tunnel=self._tunnel)
            self._http = h11.Connection(h11.CLIENT)
        return self._connection

    def _post(self, connection: Connection, payload: bytes, deadline: Deadline) -> ExportResult:
        http = self._http
        head = [*self._head, (b"content-length", str(len(payload)).encode())]
        start = http.send(h11.Request(method="POST", target=self._target, headers=head)) or b""
        broken: OSError | None = None
        heard = None
        try:
            # A server that refuses a large body may answer before it has read it, and close.
            heard = connection.send_until_heard(start + (http.send(h11.Data(data=payload)) or b""), deadline)
        except ConnectionError as error:
            broken = error
        if broken is None and heard is None:
            http.send(h11.EndOfMessage())
        else:
            http.send_failed()
        status, headers, body = 0, {}, b""
        while True:
            event = http.next_event()
            if event is h11.NEED_DATA:
                try:
                    data = connection.receive(deadline) if heard is None else heard
                except ConnectionError as error:
                    raise broken or error from None
                if not data and not status:
                    raise broken or ConnectionResetError("the receiver closed the connection without an answer")
                http.receive_data(data)
                heard = None
            elif isinstance(event, h11.Response):
                status = event.status_code
                headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers}
            elif isinstance(event, h11.Data):
                body = (body + bytes(event.data))[:_LONGEST_ANSWER]
            elif isinstance(event, h11.EndOfMessage):
                return of_http(status, headers, body, self._address.hide)
            elif event is h11.PAUSED or isinstance(event, h11.ConnectionClosed):
                raise broken or ConnectionResetError("the receiver closed the connection without an answer")
