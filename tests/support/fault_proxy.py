"""A TCP proxy for tests that loses what it is told to lose.

with FaultProxy(server.port) as proxy:
    sink = RedisSink(proxy.url)
    ...
    proxy.lose_reply()  # the next command reaches the server, its answer reaches nobody
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType


class FaultProxy:
    """Forwards loopback connections to `port`, each in two threads.

    Attributes:
        port, url: Where it listens.
        accepted: How many connections there were.
        kept_back: Set when an answer met silence.
    """

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.accepted = 0
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._losing: int | None = None
        self._passing: int | None = None
        self._pace = 65536
        self._silent = False
        self.kept_back = threading.Event()
        self._flowing = threading.Event()
        self._flowing.set()

    def lose_reply(self, after: int = 0) -> None:
        """Swallow what the server sends next, after `after` more such answers, and cut that connection."""
        with self._lock:
            self._losing = after

    def cut_request(self, after: int) -> None:
        """Cut a connection when `after` more bytes have been carried to the server."""
        with self._lock:
            self._passing = after

    def trickle(self) -> None:
        """Carry one byte at a time, in both directions."""
        self._pace = 1

    def silence(self) -> None:
        """Accept and read, and let no answer through any more."""
        self._silent = True

    def speak(self) -> None:
        """Let answers through again; those that were not are lost."""
        self._silent = False

    def stall(self) -> None:
        """Hold back everything, in both directions, until `resume`; connections are still accepted."""
        self._flowing.clear()

    def resume(self) -> None:
        """Let everything go on, and what was held back arrive: late, also from those who have hung up meanwhile."""
        self._flowing.set()

    def lead_to(self, port: int) -> None:
        """Lead new connections to another server."""
        self._target = ("127.0.0.1", port)

    def cut(self) -> None:
        """Cut every connection there is."""
        with self._lock:
            for end in self._sockets:
                _shut(end)

    def __enter__(self) -> Self:
        self._run(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.resume()
        _shut(self._listener)
        self._threads[0].join()
        self.cut()
        for thread in self._threads:
            thread.join()
        for end in (self._listener, *self._sockets):
            end.close()

    def _run(self, target: Callable[..., None], *arguments: socket.socket) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.accepted += 1
                self._connect(client)

    def _connect(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(self._target)
        except OSError:
            client.close()
            return
        with self._lock:
            self._sockets += [client, server]
        self._run(self._carry_requests, client, server)
        self._run(self._carry_replies, server, client)

    def _carry_requests(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(self._pace):
                self._flowing.wait()
                passing = self._passes(len(data))
                server.sendall(data[:passing])
                if passing < len(data):
                    break
        _shut(client, server)

    def _carry_replies(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while (data := server.recv(self._pace)) and not self._loses():
                self._flowing.wait()
                if self._silent:
                    self.kept_back.set()
                else:
                    client.sendall(data)
        _shut(client, server)

    def _passes(self, size: int) -> int:
        """How many of this many bytes are carried."""
        with self._lock:
            if self._passing is None:
                return size
            passing = min(size, self._passing)
            self._passing = self._passing - size if self._passing >= size else None
            return passing

    def _loses(self) -> bool:
        with self._lock:
            if self._losing is None:
                return False
            self._losing = self._losing - 1 if self._losing else None
            return self._losing is None


def _shut(*ends: socket.socket) -> None:
    for end in ends:
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
