"""The streams of one lane: those it is at, those it owes nothing more to, and sums over those that are counted."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamfan.counters import Counters, SinkMetrics
    from streamfan.cursor import Cursor
    from streamfan.report import DeliveryReport
    from streamfan.stream import Stream


@dataclass(slots=True)
class Tally:
    """Sums over cursors."""

    streams: int = 0
    complete: int = 0
    failed: int = 0
    bytes: int = 0
    chunks: int = 0
    retries: int = 0
    lost: int = 0
    skipped: int = 0
    missing: int = 0
    max_lag: float = 0.0

    def add(self, cursor: Cursor) -> None:
        """Count one more."""
        self.streams += 1
        self.complete += cursor.finished
        self.failed += cursor.error is not None
        self.bytes += cursor.offset
        self.chunks += cursor.chunks
        self.retries += cursor.retries
        self.lost += cursor.lost
        self.skipped += cursor.skipped
        self.missing += cursor.stream.length - cursor.offset
        self.max_lag = max(self.max_lag, cursor.max_lag)


class Ledger:
    """The streams of one lane; for any thread.

    Args:
        id: The lane's.
        counters: Where text is counted.
        settled: Called with a stream and its report when it has ended and the lane has settled it.

    Attributes:
        cursors: Those that are served, in the order of their opening; the list is replaced and never changed.
    """

    def __init__(self, id: str, counters: Counters, settled: Callable[[Stream, DeliveryReport], None]) -> None:
        self.cursors: list[Cursor] = []
        self._id = id
        self._counters = counters
        self._settled = settled
        self._lock = threading.Lock()
        # Their report will not change any more, but how much they lack is not known before their stream has ended.
        self._given_up: list[Cursor] = []
        self._tally = Tally()

    def add(self, cursor: Cursor) -> None:
        """Begin with a stream."""
        with self._lock:
            self.cursors = [*self.cursors, cursor]

    def remove(self, cursor: Cursor) -> None:
        """Serve a stream no more, and settle it."""
        with self._lock:
            self.cursors = [other for other in self.cursors if other is not cursor]
            new = self._give_up(cursor)
        if new:
            self._when_ended(cursor)

    def settle(self, cursor: Cursor) -> None:
        """Count a stream as it is when it has ended, for until then it may lack more and more; once only."""
        with self._lock:
            new = self._give_up(cursor)
        if new:
            self._when_ended(cursor)

    def _give_up(self, cursor: Cursor) -> bool:
        if cursor.settled:
            return False
        cursor.settled = True
        self._given_up.append(cursor)
        return True

    def _when_ended(self, cursor: Cursor) -> None:
        if cursor.stream.ended:
            self._count(cursor)
        else:
            cursor.stream.on_end(partial(self._count, cursor))

    def totals(self, *, abandoned: bool) -> tuple[Tally, SinkMetrics, list[Cursor]]:
        """Sums over all streams so far, twice, and the cursors that are served.

        Args:
            abandoned: The lane makes no call any more, but one may still return.
        """
        with self._lock:
            tally, cursors = replace(self._tally), self.cursors
            open_ = [*(each for each in cursors if not each.settled), *self._given_up]
            metrics = self._counters.read(cursor.flow(abandoned) for cursor in open_)
        for cursor in open_:
            tally.add(cursor)
        return tally, metrics, cursors

    @property
    def failed(self) -> bool:
        """Whether a stream has failed, also one that is still to be closed."""
        return self._tally.failed > 0 or any(each.error for each in (*self.cursors, *self._given_up))

    def needed(self, stream: Stream) -> float:
        """From which byte on this lane still needs the text of `stream`; `inf` where it needs none."""
        return min((each.offset for each in self.cursors if each.stream is stream and not each.over), default=inf)

    def delivery(self, stream: Stream) -> DeliveryReport | None:
        """What became of `stream` so far; None when this lane has done with it."""
        cursors = (*self.cursors, *self._given_up)
        return next((cursor.report(self._id) for cursor in cursors if cursor.stream is stream), None)

    def _count(self, cursor: Cursor) -> None:
        with self._lock:
            self._given_up.remove(cursor)
            self._tally.add(cursor)
            self._counters.settle(cursor.flow())
        self._settled(cursor.stream, cursor.report(self._id))
        # A thread inside a call that hangs may hold the cursor for long; it must not hold the text.
        cursor.let_go()
