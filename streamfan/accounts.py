"""Which streams are not finished everywhere, who is still at them, and what became of those that are."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

from streamfan.counters import StreamCounters

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamfan.counters import StreamMetrics
    from streamfan.report import DeliveryReport, StreamReport
    from streamfan.stream import Stream

    Deliveries = list[DeliveryReport]

_REMEMBERED = 1_000


class _Account:
    """One stream: how many are still at it, what became of it where it is finished, and whether it was counted."""

    __slots__ = ("counted", "deliveries", "pending")

    def __init__(self, pending: int) -> None:
        self.pending = pending
        self.deliveries: Deliveries = []
        self.counted = False


class Accounts:
    """The streams of a fan, from opening to the last lane that is done with them; for any thread.

    Args:
        report: Makes the report of a stream from what its lanes have reported.
        tell: Called with each stream that is finished everywhere, and its report; returns at once.

    Attributes:
        finished: How many streams are finished everywhere.
    """

    def __init__(
        self, report: Callable[[Stream, Deliveries], StreamReport], tell: Callable[[Stream, StreamReport], object]
    ) -> None:
        self.finished = 0
        self._report = report
        self._tell = tell
        self._lock = threading.Lock()
        self._open: dict[Stream, _Account] = {}
        self._counters = StreamCounters()
        self._last: deque[StreamReport] = deque(maxlen=_REMEMBERED)

    @property
    def streams(self) -> list[Stream]:
        """Those that are not finished everywhere."""
        # No lock: a signal handler may have interrupted the very thread that holds it, and a copy is made at once.
        return list(self._open)

    def open(self, stream: Stream, lanes: int) -> None:
        """Begin with a stream that so many lanes are given."""
        with self._lock:
            # One more: the stream itself, until it has ended.
            self._open[stream] = _Account(lanes + 1)

    def expect(self) -> list[Stream]:
        """One more lane is given every stream that is open: which those are."""
        with self._lock:
            for account in self._open.values():
                account.pending += 1
            return list(self._open)

    def settle(self, stream: Stream, delivery: DeliveryReport | None) -> None:
        """A lane, or the stream itself where there is no delivery, is done with `stream`."""
        with self._lock:
            account = self._open.get(stream)
            if account is None:
                return
            account.pending -= 1
            if delivery is None:
                self._count(stream, account)
            else:
                account.deliveries.append(delivery)
            if account.pending:
                return
            # At once: a lane that is added from now on has nothing to do with this stream.
            del self._open[stream]
        self._conclude(stream, account.deliveries)

    def close(self) -> None:
        """Whoever is still at a stream was given up: all are finished as they are."""
        with self._lock:
            left, self._open = self._open, {}
            for stream, account in left.items():
                self._count(stream, account)
        for stream, account in left.items():
            self._conclude(stream, account.deliveries)

    def disown(self) -> list[Stream]:
        """In a child process after `fork`: forget everything; the streams that were open."""
        self._lock = threading.Lock()
        streams, self._open = list(self._open), {}
        # What the parent counts it reports itself.
        self._counters = StreamCounters()
        return streams

    def reports(self) -> tuple[StreamReport, ...]:
        """The last 1,000 streams that are finished everywhere, oldest first, then those that are not."""
        with self._lock:
            running = [(stream, list(account.deliveries)) for stream, account in self._open.items()]
            last = tuple(self._last)
        return (*last, *(self._report(stream, deliveries) for stream, deliveries in running))

    def metrics(self) -> StreamMetrics:
        """What all streams have counted."""
        with self._lock:
            return self._counters.read([stream for stream, account in self._open.items() if not account.counted])

    def _count(self, stream: Stream, account: _Account) -> None:
        if not account.counted:
            account.counted = True
            self._counters.end(stream)

    def _conclude(self, stream: Stream, deliveries: Deliveries) -> None:
        report = self._report(stream, deliveries)
        with self._lock:
            self._last.append(report)
            self.finished += 1
        self._tell(stream, report)
