"""The reading of every stream that begins, one after the other."""

from __future__ import annotations

import os
import weakref
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

from streamfan.errors import HistoryTrimmed, Restarted, ServerRefused, StreamError, UsageError, WireError
from streamfan.subscriber import hubs
from streamfan.subscriber.arrivals import Arrival, Arrivals, Latest
from streamfan.subscriber.reading import Reading, check_process

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from streamfan.events import End, Event, Start
    from streamfan.subscriber.reading import Wanted

# An attempt is known a moment before its log has it.
_BEGINS = 1.0

# Anybody may announce streams; more than the index of a Redis ever holds.
_MOST_WAITING = 10_000


class NewStreams:
    """The reading of every stream that begins from now on, each to its end before the next; for one consumer.

    A later attempt at a stream is one that begins. Those that wait are in Redis meanwhile; nothing of them is missed
    while that keeps them.

    Args:
        wanted: What is wanted of them.
        news: Called, from another thread, when `take` has something; must not lead back here.

    Attributes:
        over: Whether nothing more is wanted.
    """

    def __init__(self, wanted: Wanted, news: Callable[[], object]) -> None:
        self.over = False
        self._wanted = wanted
        self._news = news
        self._process = os.getpid()
        self._found: deque[Arrival | BaseException] = deque()
        # What was read, which may have been a later attempt than the one that had arrived.
        self._read = Latest()
        found = _Bin(self._found, news)
        self._arrivals = Arrivals(found, found.full)
        self._attends = False
        self._current: Reading | None = None
        self._leave: Callable[[], object] = lambda: None

    @property
    def stream(self) -> str | None:
        """The stream that is read, or was read last; None before the first."""
        return None if self._current is None else self._current.stream

    @property
    def attempt(self) -> int:
        """The attempt at it."""
        return 0 if self._current is None else self._current.attempt

    @property
    def offset(self) -> int:
        """UTF-8 bytes of its text that were given."""
        return 0 if self._current is None else self._current.offset

    @property
    def attended(self) -> Future[None]:
        """Done when nothing that begins is missed any more, or when no server was there."""
        return self._arrivals.attended

    @property
    def info(self) -> Start | None:
        """Its start event."""
        return None if self._current is None else self._current.info

    @property
    def outcome(self) -> End | None:
        """Its end event."""
        return None if self._current is None else self._current.outcome

    def begin(self) -> None:
        """Have it all read, if it is not; again after an error."""
        check_process(self._process)
        if not self._attends and not self.over:
            arrivals, wanted = self._arrivals, self._wanted
            hub, _ = hubs.use(wanted.address, wanted.prefix, lambda hub: hub.attend(arrivals, wanted.wait))
            self._attends = True
            leave = weakref.finalize(self, hub.dismiss, arrivals)
            leave.atexit = False
            self._leave = leave
        if self._current is not None:
            self._current.begin()

    def take(self) -> str | Event | None:
        """The next text or event; None if there is none yet.

        Raises:
            StreamError: What has become of the stream that is read; the next one follows.
            WireError: It holds something else than events; likewise.
            ServerError: What has become of the server.
            UsageError: This is a child of the process that subscribed.
        """
        check_process(self._process)
        while not self.over:
            if self._current is None or self._current.over:
                if not self._found:
                    return None
                self._next_stream()
                continue
            seen = self._current.info is not None or self._current.offset > 0
            try:
                taken = self._current.take()
            except HistoryTrimmed:
                raise
            except Restarted:
                if seen:
                    raise
                # Of the older attempt nobody has seen anything.
                self._current.begin()
                continue
            except (StreamError, ServerRefused, WireError):
                # There is no more to be had of it, and others wait.
                self._current.close()
                raise
            if taken is not None or not self._current.over:
                return taken
        return None

    def close(self) -> None:
        """Read no more."""
        self.over = True
        self._leave()
        if self._current is not None:
            self._current.close()

    def cancel(self, reason: str, by: str) -> Future[bool]:
        """Ask the producer of the stream that is read to stop."""
        if self._current is None:
            raise UsageError("no stream has begun yet, so there is none to stop")
        return self._current.cancel(reason, by)

    def _next_stream(self) -> None:
        if self._current is not None:
            self._read.advance(Arrival(self._current.stream, self._current.attempt))
        found = self._found.popleft()
        if isinstance(found, BaseException):
            self._leave()
            self._attends = False
            raise found
        if self._read.advance(found):
            wanted = replace(self._wanted, wait=max(self._wanted.wait, _BEGINS))
            self._current = Reading(wanted, found.stream, 0, found.attempt, self._news)
            self._current.begin()


class _Bin:
    """Takes what arrives, and says so; knows nothing of who waits for it."""

    def __init__(self, found: deque[Arrival | BaseException], news: Callable[[], object]) -> None:
        self._found = found
        self._news = news

    def __call__(self, found: Arrival | BaseException) -> None:
        self._found.append(found)
        self._news()

    def full(self) -> bool:
        return len(self._found) >= _MOST_WAITING
