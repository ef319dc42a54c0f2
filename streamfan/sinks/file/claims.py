"""Which files this process writes: two who write a text to one file would mix their pieces, and both call it whole.

A file is known by its device and its number there, so by whatever path it is reached.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from contextlib import suppress

File = tuple[int, int]
"""A file's device and inode number."""

_lock = threading.Lock()
_writers: Counter[File] = Counter()
_descriptors: set[int] = set()
_alone: set[File] = set()


def claim(file: File, descriptor: int, *, shared: bool) -> bool:
    """Register one more who writes to `file`; False if somebody does who must be alone, or this one must be.

    To be called with the file open, and released before it is closed: its number may then become another file's.
    """
    with _lock:
        if file in _alone or (_writers[file] and not shared):
            return False
        _writers[file] += 1
        _descriptors.add(descriptor)
        if not shared:
            _alone.add(file)
        return True


def claimed(file: File) -> bool:
    """Whether anybody in this process writes to `file`."""
    with _lock:
        return _writers[file] > 0


def release(file: File, descriptor: int) -> None:
    """Undo a `claim` that returned True."""
    with _lock:
        _alone.discard(file)
        _descriptors.discard(descriptor)
        _writers[file] -= 1
        if _writers[file] <= 0:
            del _writers[file]


def _forget() -> None:
    """A forked child writes nothing of its parent's, and neither keeps its files locked nor unlocks them."""
    global _lock
    # The lock may have been held by a thread that the child does not have.
    _lock = threading.Lock()
    _writers.clear()
    _alone.clear()
    # Not closed: the number stays taken, so whoever still knows it cannot write to a file that is opened later.
    with suppress(OSError):
        nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        for descriptor in _descriptors:
            os.dup2(nothing, descriptor, inheritable=False)
        os.close(nothing)
    _descriptors.clear()


os.register_at_fork(after_in_child=_forget)
