"""Somebody who reads a pipe: as it comes, late, or never."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Self

from tests.support.faults import injects

if TYPE_CHECKING:
    from collections.abc import Callable


class Reader:
    """Reads to the end, on a thread of its own, unless it is held.

    Args:
        opened: Opens what is read; may block until somebody writes there.

    Attributes:
        received: What has come so far.
    """

    def __init__(self, opened: Callable[[], int]) -> None:
        self.received = b""
        self._opened = opened
        self._reading = threading.Event()
        self._reading.set()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @injects
    def hold(self) -> None:
        """Read nothing until `go_on`; to be called before it begins."""
        self._reading.clear()

    def go_on(self) -> None:
        """Read whatever has waited, and whatever comes."""
        self._reading.set()

    def everything(self) -> bytes:
        """What has come when everybody who writes has let go."""
        self.go_on()
        self._thread.join()
        return self.received

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.everything()

    def _run(self) -> None:
        descriptor = self._opened()
        while self._reading.wait() and (piece := os.read(descriptor, 65536)):
            self.received += piece
        os.close(descriptor)


def held(opened: Callable[[], int]) -> Reader:
    """A reader that reads nothing until it is let go on."""
    reader = Reader(opened)
    reader.hold()
    return reader
