"""What has been read for one subscriber and not been taken by it yet."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

from streamfan.events import Text

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamfan.events import Event

_ROOM = 1024 * 1024
# What an event takes beside its text, about.
_OVERHEAD = 200


class Mailbox:
    """Hands events over from the thread that reads to whoever consumes, in order.

    One thread puts, one takes. It says when it is full, and refuses nothing.

    Args:
        news: Called when something was put; returns at once.
    """

    def __init__(self, news: Callable[[], object]) -> None:
        self._news = news
        self._lock = threading.Lock()
        self._items: deque[Event | BaseException] = deque()
        self._held = 0
        self._was_full = False

    @property
    def full(self) -> bool:
        """Whether whoever puts had better wait until it is taken from: the log keeps what does not fit."""
        with self._lock:
            self._was_full = self._held > _ROOM
            return self._was_full

    def put(self, item: Event | BaseException) -> None:
        """Add an event, or the error that comes after all events."""
        with self._lock:
            self._items.append(item)
            self._held += _size(item)
        self._news()

    def take(self) -> tuple[list[Event | BaseException], bool]:
        """All that is there, oldest first; and whether somebody waits for there being room again."""
        with self._lock:
            items, was_full = list(self._items), self._was_full
            self._items.clear()
            self._held = 0
            self._was_full = False
        return items, was_full


def _size(item: Event | BaseException) -> int:
    return _OVERHEAD + (item.end - item.offset + 8 * len(item.token_ids) if isinstance(item, Text) else 0)
