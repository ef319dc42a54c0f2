"""What makes publishers wait: for consumers that are too far behind, and want it so rather than lose text."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

# How often who waits looks for a reason to go on that nobody tells it of: a signal handler can take no lock.
_LOOK = 0.05


class Brake:
    """Held by any number of consumers, each of them once; for any thread.

    Attributes:
        on: Whether anybody holds it: all that a publisher asks.
    """

    def __init__(self) -> None:
        self.on = False
        self._lock = threading.Lock()
        self._holders: set[Hashable] = set()
        self._released = threading.Event()
        self._thread = threading.local()

    def hold(self, holder: Hashable) -> None:
        """Make publishers wait from now on."""
        with self._lock:
            self._holders.add(holder)
            self._released.clear()
            self.on = True

    def release(self, holder: Hashable) -> None:
        """Make nobody wait for `holder` any more."""
        with self._lock:
            self._holders.discard(holder)
            if not self._holders:
                self.on = False
                self._released.set()

    def exempt(self) -> None:
        """Never make the calling thread wait: others would wait for it."""
        self._thread.exempt = True

    def wait(self, wanted: Callable[[], bool]) -> None:
        """Wait until nobody holds the brake, or until waiting is not wanted any more."""
        if getattr(self._thread, "exempt", False):
            return
        while self.on and wanted():
            self._released.wait(_LOOK)
