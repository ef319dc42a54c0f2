"""What a process owes its fans: names for their streams, and a decent end at exit and after a fork."""

from __future__ import annotations

import atexit
import os
import secrets
import threading
from time import gmtime, strftime
from typing import Protocol
from weakref import WeakSet

# No vowels that make words, no letters that look like digits.
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_TAIL = 8
_EXIT_TIMEOUT = 5.0


class Closable(Protocol):
    """What is registered here: a fan."""

    def finish(self, timeout: float | None = None) -> None:
        """Begin to deliver what can be delivered in `timeout` seconds."""

    def close(self) -> None:
        """Wait until that is done."""

    def disown(self) -> None:
        """Let go of everything: this is a child process."""


_fans: WeakSet[Closable] = WeakSet()
_lock = threading.Lock()


def next_id() -> str:
    """A stream id that sorts by time and reads well, and that nobody else has: 40 of its bits are random.

    Random and not counted: of two programs that share a Redis, or two children of one process, each would take the
    other's streams over.
    """
    tail = "".join(secrets.choice(_ALPHABET) for _ in range(_TAIL))
    return f"{strftime('%Y%m%d-%H%M%S', gmtime())}-{tail}"


def register(fan: Closable) -> None:
    """Close `fan` at exit if nobody else does, and disown it in a forked child."""
    with _lock:
        _fans.add(fan)


def forget(fan: Closable) -> None:
    """`fan` is closed."""
    with _lock:
        _fans.discard(fan)


def _close_all() -> None:
    with _lock:
        fans = list(_fans)
    # One deadline for all of them together.
    for fan in fans:
        fan.finish(_EXIT_TIMEOUT)
    for fan in fans:
        fan.close()


def _disown_all() -> None:
    global _lock
    # Another thread of the parent may have held it; that thread does not exist here.
    _lock = threading.Lock()
    fans = list(_fans)
    _fans.clear()
    for fan in fans:
        fan.disown()


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_disown_all)
