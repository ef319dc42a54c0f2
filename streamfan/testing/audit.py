"""Noticing I/O: what the interpreter itself says that a thread does."""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

# Events of https://docs.python.org/3/library/audit_events.html
_IO = frozenset(
    {
        "open",
        "os.listdir",
        "os.mkdir",
        "os.posix_spawn",
        "os.remove",
        "os.rename",
        "os.scandir",
        "os.system",
        "socket.bind",
        "socket.connect",
        "socket.getaddrinfo",
        "sqlite3.connect",
        "subprocess.Popen",
    }
)
_watching: dict[int, list[str]] = {}


@contextmanager
def io_of_this_thread() -> Iterator[list[str]]:
    """A list of what this thread does within, as "open /etc/hosts"."""
    _install()
    events = _watching[threading.get_ident()] = []
    try:
        yield events
    finally:
        del _watching[threading.get_ident()]


@cache
def _install() -> None:
    # For good: an audit hook cannot be taken away.
    sys.addaudithook(_hear)


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watching or event not in _IO:
        return
    events = _watching.get(threading.get_ident())
    if events is not None:
        events.append(f"{event} {arguments[0] if arguments else ''}".rstrip())
