"""Tells observers of finished streams, on a thread of their own: one that blocks or raises disturbs nobody else."""

from __future__ import annotations

import logging
import os
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING

from streamfan.forks import leave_child

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamfan.report import StreamReport
    from streamfan.stream import Stream

    Observer = Callable[[Stream, StreamReport], object]

log = logging.getLogger("streamfan.observers")


class Observers:
    """Whoever wants to know of finished streams, in the order of their finishing."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._observers: list[Observer] = []
        self._process = os.getpid()
        self._finished: SimpleQueue[tuple[Stream, StreamReport] | None] = SimpleQueue()
        # daemon: an observer that hangs must not keep the interpreter alive.
        self._thread = threading.Thread(target=self._run, name="streamfan-observers", daemon=True)

    def add(self, observer: Observer) -> None:
        """Tell `observer` of every stream that finishes from now on."""
        with self._lock:
            self._observers.append(observer)
            if self._thread.ident is None:
                self._thread.start()

    def tell(self, stream: Stream, report: StreamReport) -> None:
        """Say that `stream` is finished; returns at once."""
        if self._observers:
            self._finished.put((stream, report))

    def close(self, timeout: float) -> None:
        """Wait until everything was told, `timeout` seconds at most."""
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._finished.put(None)
            self._thread.join(timeout)

    def _run(self) -> None:
        while (told := self._finished.get()) is not None:
            for observer in self._observers:
                self._call(observer, *told)

    def _call(self, observer: Observer, stream: Stream, report: StreamReport) -> None:
        try:
            observer(stream, report)
        except BaseException as error:  # foreign code: even one that raises SystemExit disturbs nobody else
            leave_child(self._process, error)
            log.exception("an observer of finished streams failed: %r", observer)
        else:
            leave_child(self._process)
