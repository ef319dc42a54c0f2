"""Tells observers of finished streams, each on a thread of its own: one that blocks or raises disturbs nobody else."""

from __future__ import annotations

import logging
import os
import threading
from queue import SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING

from streamfan.forks import leave_child

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamfan.report import StreamReport
    from streamfan.stream import Stream

    Observer = Callable[[Stream, StreamReport], object]

log = logging.getLogger("streamfan.observers")


class Observers:
    """Whoever wants to know of finished streams, in the order of their finishing.

    Attributes:
        keep_text: Whether one of them may want all of a stream's text.
    """

    def __init__(self) -> None:
        self.keep_text = False
        self._lock = threading.Lock()
        self._observers: tuple[_Observing, ...] = ()

    def add(self, observer: Observer, patience: float, *, keep_text: bool) -> None:
        """Tell `observer` of every stream that finishes from now on.

        Args:
            patience: Seconds that it has at the end, if nobody else leaves it any.
        """
        with self._lock:
            self.keep_text |= keep_text
            self._observers = (*self._observers, _Observing(observer, patience))

    def tell(self, stream: Stream, report: StreamReport) -> None:
        """Say that `stream` is finished; returns at once."""
        for observing in self._observers:
            observing.tell(stream, report)

    def close(self, timeout: float) -> None:
        """Wait until everything was told, `timeout` seconds or an observer's patience at most; say what was not."""
        began = monotonic()
        for observing in self._observers:
            observing.finish()
        for observing in self._observers:
            observing.join(began + max(timeout, observing.patience) - monotonic())


class _Observing:
    """One observer, and what it has not been told yet."""

    def __init__(self, observer: Observer, patience: float) -> None:
        self.patience = patience
        self._observer = observer
        self._process = os.getpid()
        self._finished: SimpleQueue[tuple[Stream, StreamReport] | None] = SimpleQueue()
        # daemon: an observer that hangs must not keep the interpreter alive.
        self._thread = threading.Thread(target=self._run, name="streamfan-observer", daemon=True)
        self._thread.start()

    def tell(self, stream: Stream, report: StreamReport) -> None:
        self._finished.put((stream, report))

    def finish(self) -> None:
        self._finished.put(None)

    def join(self, timeout: float) -> None:
        if self._thread is threading.current_thread():
            return
        self._thread.join(max(0.0, timeout))
        # The one that it is at, and those that wait; the last of them is no stream.
        untold = self._finished.qsize()
        if self._thread.is_alive() and untold:
            log.error("%r was not done in time with %s streams that have finished", self._observer, f"{untold:,}")

    def _run(self) -> None:
        while (told := self._finished.get()) is not None:
            self._call(*told)

    def _call(self, stream: Stream, report: StreamReport) -> None:
        try:
            self._observer(stream, report)
        except BaseException as error:  # foreign code: even one that raises SystemExit disturbs nobody else
            leave_child(self._process, error)
            log.exception("an observer of finished streams failed: %r", self._observer)
        else:
            leave_child(self._process)
