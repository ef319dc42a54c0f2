"""A TCP proxy for tests that cuts connections when it is told to.

with CuttingProxy(server.port) as proxy:
    sink = NatsSink(proxy.url)
    ...
    proxy.lose_reply()  # what is sent next reaches the server, its answer reaches nobody
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType


class CuttingProxy:
    """Forwards loopback connections to `port`, each in two threads.

    Attributes:
        url: Where it listens.
        lost: How many answers were lost.
        replies: How many bytes have come from the server.
        requests: What has come from clients.
    """

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"nats://127.0.0.1:{self._listener.getsockname()[1]}"
        self.lost = 0
        self.replies = 0
        self.requests = b""
        self._losing = False
        self._left: int | None = None
        self._holding = False
        self._held: list[tuple[socket.socket, bytes]] = []
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []

    def lead_to(self, port: int) -> None:
        """Lead new connections to another server."""
        self._target = ("127.0.0.1", port)

    def lose_reply(self) -> None:
        """Swallow what the server sends next, and cut that connection."""
        with self._lock:
            self._losing = True

    def cut_after(self, replies: int) -> None:
        """Let so many bytes more come from the server, and then cut the connection; once."""
        with self._lock:
            self._left = replies

    def hold_requests(self) -> None:
        """Keep back what is sent to the server, until `release`, also where the client has hung up since."""
        with self._lock:
            self._holding = True

    def release(self) -> None:
        """Send what was kept back: late."""
        with self._lock:
            held, self._held, self._holding = self._held, [], False
        for server, data in held:
            server.sendall(data)

    def __enter__(self) -> Self:
        self._run(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _shut(self._listener)
        self._threads[0].join()
        with self._lock:
            self._held.clear()
            _shut(*self._sockets)
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _run(self, target: object, *arguments: socket.socket) -> threading.Thread:
        assert callable(target)
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()
        return thread

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection(self._target)
                except OSError:
                    client.close()
                    continue
                for end in (client, server):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with self._lock:
                    self._sockets |= {client, server}
                self._run(self._serve, client, server)

    def _serve(self, client: socket.socket, server: socket.socket) -> None:
        replies = self._run(self._carry_replies, server, client)
        with suppress(OSError):
            while data := client.recv(65536):
                self.requests += data
                if not self._keeps_back(server, data):
                    server.sendall(data)
        # What is kept back still has a way to go.
        while any(each is server for each, _ in self._held):
            threading.Event().wait(0.01)
        _shut(client, server)
        replies.join()
        with self._lock:
            self._sockets -= {client, server}
        client.close()
        server.close()

    def _keeps_back(self, server: socket.socket, data: bytes) -> bool:
        with self._lock:
            if self._holding:
                self._held.append((server, data))
            return self._holding

    def _carry_replies(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                piece, cut = self._admit(data)
                client.sendall(piece)
                if cut:
                    break
        _shut(client)

    def _admit(self, data: bytes) -> tuple[bytes, bool]:
        """What of `data` goes on, and whether the connection is cut then."""
        with self._lock:
            if self._losing:
                self._losing, self.lost = False, self.lost + 1
                return b"", True
            cut = self._left is not None and len(data) >= self._left
            if self._left is not None:
                data = data[: self._left]
                self._left, self.lost = (None, self.lost + 1) if cut else (self._left - len(data), self.lost)
            self.replies += len(data)
            return data, cut


def _shut(*ends: socket.socket) -> None:
    for end in ends:
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
