"""What a process owes its fans: names for their streams, and a decent end at exit and after a fork."""

from __future__ import annotations

import atexit
import logging
import os
import secrets
import sys
import threading
from time import gmtime, strftime
from typing import TYPE_CHECKING, Protocol
from weakref import WeakSet

if TYPE_CHECKING:
    from streamfan.report import Report

log = logging.getLogger("streamfan.lifetime")

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

    @property
    def report(self) -> Report:
        """What became of everything."""


_fans: WeakSet[Closable] = WeakSet()
_lock = threading.Lock()
# The process in which multiprocessing was told of `_close_all`.
_told: int | None = None


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
    _tell_multiprocessing()


def forget(fan: Closable) -> None:
    """`fan` is closed."""
    with _lock:
        _fans.discard(fan)


def _tell_multiprocessing() -> None:
    """Have fans closed also at the end of a child of multiprocessing, which skips what is registered with `atexit`."""
    global _told
    # In such a child it is imported.
    process, util = map(sys.modules.get, ("multiprocessing.process", "multiprocessing.util"))
    if process is None or util is None or process.parent_process() is None or _told == os.getpid():
        return
    _told = os.getpid()
    util.Finalize(None, _close_all, exitpriority=0)


def _close_all() -> None:
    with _lock:
        fans = list(_fans)
    # One deadline for all of them together.
    for fan in fans:
        fan.finish(_EXIT_TIMEOUT)
    for fan in fans:
        fan.close()
        _say_what_is_missing(fan)


def _say_what_is_missing(fan: Closable) -> None:
    # The program will not ask any more.
    for sink in fan.report.failures:
        if sink.missing:
            log.error("sink %r: %s bytes were not delivered before the program ended", sink.id, f"{sink.missing:,}")


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
