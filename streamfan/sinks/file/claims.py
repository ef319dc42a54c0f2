"""Which files this process writes: two who write a text to one file would mix their pieces, and both call it whole.

A file is known by its device and its number there, so by whatever path it is reached.
"""

from __future__ import annotations

import os
import threading
from collections import Counter

File = tuple[int, int]
"""A file's device and inode number."""

_lock = threading.Lock()
_writers: Counter[File] = Counter()
_alone: set[File] = set()


def claim(file: File, *, shared: bool) -> bool:
    """Register one more who writes to `file`; False if somebody does who must be alone, or this one must be.

    To be called with the file open, and released before it is closed: its number may then become another file's.
    """
    with _lock:
        if file in _alone or (_writers[file] and not shared):
            return False
        _writers[file] += 1
        if not shared:
            _alone.add(file)
        return True


def release(file: File) -> None:
    """Undo a `claim` that returned True."""
    with _lock:
        _alone.discard(file)
        _writers[file] -= 1
        if _writers[file] <= 0:
            del _writers[file]


def _forget() -> None:
    """A forked child writes nothing of its parent's."""
    global _lock
    # The lock may have been held by a thread that the child does not have.
    _lock = threading.Lock()
    _writers.clear()
    _alone.clear()


os.register_at_fork(after_in_child=_forget)
