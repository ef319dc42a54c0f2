"""A real HTTP receiver for tests: on a free loopback port, with scripted answers, remembering what it was sent.

It knows nothing of streamfan, so that it cannot share its mistakes.

    with Receiver() as receiver:
        receiver.script(answer(500), hang_up, answer(200))  # in this order; after these, and without any: 200
        post_something_to(receiver.url)
        assert receiver.wait_for(3)[2].body == b"..."
"""

from __future__ import annotations

import json
import socket
import ssl
import sys
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

from tests.support import faults

if TYPE_CHECKING:
    from collections.abc import Mapping

PATIENCE = faults.patience(20.0)
"""Seconds after which a test that waits has failed."""

CERTIFICATE = Path(__file__).with_name("localhost.pem")
"""For `localhost`; whoever is to trust it needs it as `SSL_CERT_FILE`."""

CERTIFICATES = Path(__file__).with_name("certificates")
"""Of an authority for tests: its own, `authority.pem`; `server.pem` for `localhost`, with its key; `client.crt` with
`client.key`, which `locked.key` is again, encrypted with `correct horse`."""


@dataclass(frozen=True, slots=True)
class Posted:
    """A request, as it came.

    Attributes:
        headers: By lower-case name.
        connection: Which connection it came over; counted from 1, those that carried no request included.
        server_name: What a TLS client asked for.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    connection: int
    server_name: str | None = None

    @property
    def event(self) -> dict[str, Any]:
        """The body as JSON."""
        return cast("dict[str, Any]", json.loads(self.body))


class Exchange:
    """A request that waits for its answer; what a `Reply` works with."""

    def __init__(self, posted: Posted, handler: _Handler) -> None:
        self.posted = posted
        self._handler = handler

    def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Answer as HTTP wants it."""
        self._handler.send_response(status)
        for name, value in {"content-length": str(len(body)), **headers}.items():
            self._handler.send_header(name, value)
        self._handler.end_headers()
        self._handler.wfile.write(body)

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._handler.wfile.write(data)

    def pause(self, seconds: float | None = None) -> bool:
        """Wait; for ever if no time is given. True once the receiver is closing, which ends every wait."""
        return self._handler.receiver.closing.wait(seconds)

    def hang_up(self) -> None:
        """End the connection after this exchange."""
        self._handler.close_connection = True


Reply = Callable[[Exchange], None]
"""What is done about one request."""


def answer(status: int = 200, headers: Mapping[str, str] | None = None, body: bytes = b"", delay: float = 0.0) -> Reply:
    """Answer, after `delay` seconds."""

    def reply(exchange: Exchange) -> None:
        if not (delay and exchange.pause(delay)):
            exchange.answer(status, headers or {}, body)

    return reply


def redirect(status: int, location: str) -> Reply:
    """Answer that what was asked for is elsewhere."""
    return answer(status, {"location": location})


def torn(data: bytes) -> Reply:
    """Send `data` as it is, and close the connection."""

    def reply(exchange: Exchange) -> None:
        exchange.send(data)
        exchange.hang_up()

    return reply


def endless(head: bytes, piece: bytes, pause: float = 0.0) -> Reply:
    """Send `head`, then `piece` until nobody listens, with pauses of so many seconds."""

    def reply(exchange: Exchange) -> None:
        exchange.hang_up()
        exchange.send(head)
        while not exchange.pause(pause):
            exchange.send(piece)

    return reply


def hang_up(exchange: Exchange) -> None:
    """Close the connection without a word."""
    exchange.hang_up()


def silence(exchange: Exchange) -> None:
    """Never answer."""
    exchange.hang_up()
    exchange.pause()


class Receiver:
    """Takes requests on a free loopback port until it is closed.

    Args:
        otherwise: What is done when the script has run out.
        port: Where to listen; a free port if 0.
        tls: Speak TLS.
        certificate: With this certificate and key.
        clients: Take only clients that show a certificate of the authorities in this file.

    Attributes:
        connections: How many connections have been made to it.
        connected: How many of them are open.
        closing: Set once it is being closed.
    """

    def __init__(
        self,
        otherwise: Reply | None = None,
        *,
        port: int = 0,
        tls: bool = False,
        certificate: Path = CERTIFICATE,
        clients: Path | None = None,
    ) -> None:
        self.closing = threading.Event()
        self.connections = 0
        self.connected = 0
        self._otherwise = answer() if otherwise is None or faults.switched_off() else otherwise
        self._script: deque[Reply] = deque()
        self._posted: list[Posted] = []
        self._errors: list[BaseException] = []
        self._change = threading.Condition()
        self._server = _Server(self, port)
        if tls:
            self._server.speak_tls(certificate, clients)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), name="receiver")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close()
        if kind is None and self._errors:
            raise self._errors[0]

    @property
    def port(self) -> int:
        """The port."""
        return self._server.server_port

    @property
    def url(self) -> str:
        """Where it listens; any path will do."""
        return f"{'https' if self._server.tls else 'http'}://localhost:{self.port}/hook"

    @property
    def posted(self) -> tuple[Posted, ...]:
        """Every request so far, in the order they came."""
        with self._change:
            return tuple(self._posted)

    @property
    def events(self) -> list[dict[str, Any]]:
        """The bodies of all requests so far as JSON, repeated ones included."""
        return [posted.event for posted in self.posted]

    @faults.injects
    def script(self, *replies: Reply) -> None:
        """Do this about the next requests, one each."""
        with self._change:
            self._script.extend(replies)

    def wait_for(self, count: int) -> tuple[Posted, ...]:
        """Wait until so many requests have come, and return them all."""
        self.wait_until(lambda: len(self._posted) >= count)
        return self.posted

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` holds; looked at whenever a connection or a request has come or gone.

        Raises:
            AssertionError: It does not in good time.
        """
        with self._change:
            assert self._change.wait_for(condition, PATIENCE), (
                f"after {PATIENCE} s: {len(self._posted)} requests, {self.connections} connections, "
                f"{self.connected} of them open"
            )

    def close(self) -> None:
        """Close every connection, and wait for all threads; may be called twice."""
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    # What the server's threads call

    def took(self, posted: Posted) -> Reply:
        """Remember a request, and say what to do about it."""
        with self._change:
            self._posted.append(posted)
            self._change.notify_all()
            return self._script.popleft() if self._script else self._otherwise

    def connects(self) -> int:
        """Count a new connection, and say which it is."""
        with self._change:
            self.connections += 1
            self.connected += 1
            self._change.notify_all()
            return self.connections

    def disconnects(self) -> None:
        """Count a connection that has ended."""
        with self._change:
            self.connected -= 1
            self._change.notify_all()

    def failed(self, error: BaseException) -> None:
        """Keep an error of the receiver itself, to be raised when it is left."""
        with self._change:
            self._errors.append(error)


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    # The head and the body of an answer are two packets, and Nagle's algorithm holds the second one back.
    disable_nagle_algorithm = True
    server: _Server

    @property
    def receiver(self) -> Receiver:
        return self.server.receiver

    def setup(self) -> None:
        self.connection_number = self.receiver.connects()
        self.server_name = self.server.handshake(self.request)
        super().setup()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        posted = Posted(self.command, self.path, headers, body, self.connection_number, self.server_name)
        self.receiver.took(posted)(Exchange(posted, self))

    # A redirect that is followed arrives as a GET, and is to be seen.
    do_GET = do_POST  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Be silent."""


class _Server(ThreadingHTTPServer):
    # Waited for when the server is closed, so that no test leaves a thread behind.
    daemon_threads = False

    def __init__(self, receiver: Receiver, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.receiver = receiver
        self.tls: ssl.SSLContext | None = None
        self._open: set[socket.socket] = set()
        self._names: dict[object, str] = {}

    def speak_tls(self, certificate: Path, clients: Path | None) -> None:
        """Speak TLS from now on."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        context.sni_callback = lambda connection, name, _: self._names.update({connection: name or ""})
        if clients:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(clients)
        self.tls = context

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        if self.tls:
            connection = self.tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        self._open.add(connection)
        return connection, address

    def handshake(self, connection: socket.socket) -> str | None:
        """Greet a TLS client, and say which server it asked for."""
        if not isinstance(connection, ssl.SSLSocket):
            return None
        connection.do_handshake()
        return self._names.pop(connection, None)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)
        self.receiver.disconnects()

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exception()
        # A client that hangs up is what many a test is about.
        if error is not None and not isinstance(error, OSError):
            self.receiver.failed(error)

    def server_close(self) -> None:
        # A kept-alive connection is read from until it ends, and its thread is waited for.
        for connection in tuple(self._open):
            with suppress(OSError):
                # Not the TLS socket's own method, which takes the cipher away under the reading thread.
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
        super().server_close()
