"""Stderr with a thread of its own: where nobody reads it, neither a sink nor the end of the program waits for it."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from threading import Event
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_STDERR = 2
# How often a close looks whether it still has patience.
_LOOK = 0.1


class _Gate(NamedTuple):
    reached: Event
    opened: Event


class Writer:
    """Writes texts to stderr, in order."""

    def __init__(self) -> None:
        # A plain queue: it takes texts from a signal handler too, whatever that interrupted.
        self._texts: SimpleQueue[str | _Gate | None] = SimpleQueue()
        # daemon, and past sys.stderr, whose lock the interpreter's end would wait for.
        self._thread = threading.Thread(target=self._run, name="streamfan-stderr", daemon=True)
        self._thread.start()

    def write(self, text: str) -> None:
        """Write `text` soon; returns at once and never raises."""
        self._texts.put(text)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Wait until all is written, not long where nobody reads it, and write nothing more while this is entered."""
        gate = _Gate(Event(), Event())
        self._texts.put(gate)
        gate.reached.wait(_LOOK)
        try:
            yield
        finally:
            gate.opened.set()

    def close(self, patience: Callable[[], float]) -> None:
        """Wait until everything is written, `patience()` seconds at most: asked each time, a signal may shorten it."""
        self._texts.put(None)
        begun = monotonic()
        while self._thread.is_alive() and monotonic() - begun < patience():
            self._thread.join(_LOOK)

    def _run(self) -> None:
        while (text := self._texts.get()) is not None:
            if isinstance(text, _Gate):
                text.reached.set()
                text.opened.wait()
                continue
            # Closed or full: nobody can be told.
            with suppress(OSError):
                _write(text.encode(errors="backslashreplace"))


def _write(data: bytes) -> None:
    while data:
        data = data[os.write(_STDERR, data) :]
