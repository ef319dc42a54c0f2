"""A TCP proxy for tests that loses, cuts and delays what it is told to.

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

from tests.support.faults import injects

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType


class _Flow:
    """What goes one way, over all connections."""

    def __init__(self) -> None:
        self.carried = 0
        self.cuts = 0
        self._lock = threading.Lock()
        self._left: int | None = None

    def cut_after(self, count: int) -> None:
        with self._lock:
            self._left = count

    def admit(self, data: bytes) -> tuple[bytes, bool]:
        """What of `data` goes on, and whether the connection is cut then."""
        with self._lock:
            cut = self._left is not None and len(data) >= self._left
            if self._left is not None:
                data = data[: self._left]
                self._left = None if cut else self._left - len(data)
            self.carried += len(data)
            self.cuts += cut
            return data, cut


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
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._requests, self._replies = _Flow(), _Flow()
        self._losing: int | None = None
        self._lost = 0
        self._silent = False
        self.kept_back = threading.Event()
        self._flowing = threading.Event()
        self._flowing.set()
        self._timers: list[threading.Timer] = []
        self._pause, self._size = 0.0, 65536
        self._ending = threading.Event()

    @property
    def struck(self) -> int:
        """How many replies were lost, and connections cut after so many bytes."""
        return self._lost + self._requests.cuts + self._replies.cuts

    @property
    def requests(self) -> int:
        """Bytes that have gone to the server."""
        return self._requests.carried

    @property
    def replies(self) -> int:
        """Bytes that have come from the server."""
        return self._replies.carried

    @injects
    def lose_reply(self, after: int = 0) -> None:
        """Swallow what the server sends next, after `after` more such answers, and cut that connection."""
        with self._lock:
            self._losing = after

    @injects
    def cut_after(self, *, requests: int | None = None, replies: int | None = None) -> None:
        """Let exactly so many bytes more go to the server, or come from it, and then cut the connection; once."""
        if requests is not None:
            self._requests.cut_after(requests)
        if replies is not None:
            self._replies.cut_after(replies)

    @injects
    def silence(self) -> None:
        """Accept and read, and let no answer through any more."""
        self._silent = True

    def speak(self) -> None:
        """Let answers through again; those that were not are lost."""
        self._silent = False

    @injects
    def stall(self, seconds: float | None = None) -> None:
        """Hold back everything, in both directions, until `resume` or for so long; connections are still accepted."""
        self._flowing.clear()
        if seconds is not None:
            self._timers.append(timer := threading.Timer(seconds, self.resume))
            timer.start()

    def resume(self) -> None:
        """Let everything go on, and what was held back arrive: late, also from those who have hung up meanwhile."""
        self._flowing.set()

    @injects
    def slow_down(self, seconds: float = 0.0, size: int = 65536) -> None:
        """Let everything go in pieces of at most `size` bytes, each after a pause of `seconds`: a delay, or a trickle.

        Called without arguments it ends that.
        """
        self._pause, self._size = seconds, size

    def lead_to(self, port: int) -> None:
        """Lead new connections to another server."""
        self._target = ("127.0.0.1", port)

    @injects
    def cut(self) -> None:
        """Cut every connection there is."""
        self._cut()

    def __enter__(self) -> Self:
        self._run(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for timer in self._timers:
            timer.cancel()
        self._ending.set()
        self.resume()
        _shut(self._listener)
        self._threads[0].join()
        self._cut()
        for thread in (*self._threads, *self._timers):
            thread.join()
        self._listener.close()

    def _cut(self) -> None:
        with self._lock:
            _shut(*self._sockets)

    def _run(self, target: Callable[..., None], *arguments: socket.socket) -> threading.Thread:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()
        return thread

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
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._sockets |= {client, server}
        self._run(self._serve, client, server)

    def _serve(self, client: socket.socket, server: socket.socket) -> None:
        replies = self._run(self._carry_replies, server, client)
        with suppress(OSError):
            for data in self._pieces(client, self._requests):
                server.sendall(data)
        _shut(client, server)
        replies.join()
        with self._lock:
            self._sockets -= {client, server}
        client.close()
        server.close()

    def _carry_replies(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            for data in self._pieces(server, self._replies):
                if self._loses():
                    break
                if self._silent:
                    self.kept_back.set()
                else:
                    client.sendall(data)
        _shut(client, server)

    def _pieces(self, source: socket.socket, flow: _Flow) -> Iterator[bytes]:
        """What comes from `source` and goes on, when it is time to; ends where the connection is to be cut."""
        while data := source.recv(65536):
            size = self._size
            for first in range(0, len(data), size):
                if self._pause:
                    self._ending.wait(self._pause)
                self._flowing.wait()
                piece, cut = flow.admit(data[first : first + size])
                if piece:
                    yield piece
                if cut:
                    return

    def _loses(self) -> bool:
        with self._lock:
            if self._losing is None:
                return False
            if self._losing:
                self._losing -= 1
                return False
            self._losing = None
            self._lost += 1
            return True


def _shut(*ends: socket.socket) -> None:
    for end in ends:
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
