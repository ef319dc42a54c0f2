"""Attempts: which try at a stream this is. Of two with one id the later counts, so no number is ever used again."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from time import time_ns

from streamfan.errors import UsageError

# How many ids at most are remembered; the one that was opened longest ago is forgotten.
_REMEMBERED = 16_384
# What a number in JSON holds everywhere: readers in other languages have floats for it.
LAST = 2**53 - 1

_latest = 0
_lock = threading.Lock()


def next_attempt() -> int:
    """Unix milliseconds, strictly increasing in this process, and later than every attempt that was given in it."""
    global _latest
    with _lock:
        _latest = max(time_ns() // 1_000_000, _latest + 1)
        return _latest


def _note(attempt: int) -> None:
    global _latest
    with _lock:
        _latest = max(_latest, attempt)


class Attempts:
    """The latest attempt at each stream that a fan has opened; any thread may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._latest: OrderedDict[str, int] = OrderedDict()

    def take(self, id: str, attempt: int | None) -> int:
        """The number of the next try at the stream `id`: `attempt` if it is given, else a later one than all before.

        Raises:
            UsageError: The attempt given is out of range, or not later than one that was taken before.
        """
        # A caller without types may well give text.
        if attempt is not None and not (type(attempt) is int and 1 <= attempt < LAST):
            raise UsageError(
                f"attempt {attempt} of stream {id!r} is out of range, expected a whole number from 1 to {LAST - 1}"
            )
        with self._lock:
            before = self._latest.get(id, 0)
            if attempt is None:
                attempt = next_attempt()
            elif attempt <= before:
                raise UsageError(
                    f"attempt {attempt} of stream {id!r} is not later than attempt {before}, which was opened before\n"
                    "Try: a greater number, none, or another id"
                )
            else:
                _note(attempt)
            self._latest[id] = attempt
            self._latest.move_to_end(id)
            if len(self._latest) > _REMEMBERED:
                self._latest.popitem(last=False)
        return attempt


def _renew() -> None:
    """In a forked child: the lock may have been held by a thread that the child does not have."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
