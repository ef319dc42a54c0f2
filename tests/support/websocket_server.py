"""A real WebSocket server for tests, the `websockets` library's: on a free loopback port, and scripted.

It knows nothing of streamfan, so that it cannot share its mistakes.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Self

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

from tests.support.receiver import PATIENCE

if TYPE_CHECKING:
    from websockets.http11 import Request, Response

Handler = Callable[[ServerConnection], None]
"""What is done about one question, after it was read."""


@dataclass(frozen=True)
class Asked:
    """A question, as it came."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any] = field(default_factory=dict)


class SocketServer:
    """Takes questions until it is closed.

    Attributes:
        asked: Every question so far.
        refused: Statuses that the next handshakes are answered with; each is taken once.
        closing: Set once it is being closed.
        gone: Set when somebody has hung up.
    """

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.refused: deque[HTTPStatus] = deque()
        self.closing = threading.Event()
        self.gone = threading.Event()
        self._script: deque[Handler] = deque()
        self._server: Server = serve(self._handle, "127.0.0.1", 0, process_request=self._greet)
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._thread.join()

    @property
    def port(self) -> int:
        """The port."""
        return int(self._server.socket.getsockname()[1])

    @property
    def url(self) -> str:
        """Where it listens; any path will do."""
        return f"ws://127.0.0.1:{self.port}"

    def script(self, *handlers: Handler) -> None:
        """Do this about the next questions, one each."""
        self._script.extend(handlers)

    def _greet(self, connection: ServerConnection, request: Request) -> Response | None:
        if not self.refused:
            return None
        self.asked.append(Asked(request.path, {}))
        said = {"detail": f"no, {request.headers.get('authorization')}"}
        return connection.respond(self.refused.popleft(), json.dumps(said))

    def _handle(self, connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            assert connection.request is not None
            headers = {key.lower(): value for key, value in connection.request.headers.raw_items()}
            body = json.loads(connection.recv(timeout=PATIENCE))
            self.asked.append(Asked(connection.request.path, headers, body))
            self._script.popleft()(connection)
        self.gone.set()


def said(*messages: object, code: int = 1000, reason: str = "") -> Handler:
    """Send these, JSON unless they are text or bytes already, and close."""

    def handle(connection: ServerConnection) -> None:
        for message in messages:
            connection.send(message if isinstance(message, str | bytes) else json.dumps(message))
        connection.close(code, reason)

    return handle


def lost(*messages: object) -> Handler:
    """Send these, and let the connection break."""

    def handle(connection: ServerConnection) -> None:
        for message in messages:
            connection.send(json.dumps(message))
        # Not `close`, which would say goodbye.
        connection.socket.shutdown(2)

    return handle


def kept(*messages: object) -> Handler:
    """Send these, and then wait until nobody listens."""

    def handle(connection: ServerConnection) -> None:
        for message in messages:
            connection.send(json.dumps(message))
        connection.recv(timeout=PATIENCE)

    return handle
